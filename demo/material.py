"""What the language model learns from, in one small file that a machine with a GPU can be given.

Texts with the phonemes that a teacher says, samples with what the encoder hears in them, and voices.
"""

from __future__ import annotations

import io
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demo.tokens import PHASES, STATES

FILE = "material.xz"
Numbers = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of different lengths in one array; row n is `values[starts[n] : starts[n + 1]]`."""

    values: Numbers
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: Numbers, lengths: Numbers) -> Rows:
        """Rows of these lengths, one after the other."""
        return cls(values, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Rows:
        """The characters of texts; raises UnicodeEncodeError if they are not all ASCII."""
        return cls.of(np.frombuffer("".join(texts).encode("ascii"), np.uint8), np.array([len(text) for text in texts]))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each row."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> Numbers:
        return self.values[self.starts[row] : self.starts[row + 1]]

    def text(self, row: int) -> str:
        """A row of characters as a text."""
        return self[row].tobytes().decode("ascii")


@dataclass(frozen=True, slots=True)
class Material:
    """Texts, samples and voices.

    Of each text: its characters, its semantic tokens, the character that each token says, the label of its speed, and
    whether it is Mandarin. Of each sample: its transcript, the semantic tokens that the encoder hears, and its global
    tokens, (samples, 32). Of each voice: its global tokens (voices, 32), its pitch in Hz and whether it is female.
    """

    texts: Rows
    tokens: Rows
    spoken: Rows
    speed: Numbers
    mandarin: npt.NDArray[np.bool_]
    transcripts: Rows
    heard: Rows
    heard_voices: Numbers
    voices: Numbers
    pitch: Numbers
    female: npt.NDArray[np.bool_]

    def save(self, file: Path) -> None:
        """Write it. Tokens are written as phonemes and how many frames each takes, since the rest follows."""
        first = np.zeros(len(self.tokens.values), np.bool_)
        first[self.tokens.starts[:-1]] = True
        third, phoneme = self.tokens.values // PHASES % STATES, self.tokens.values // (PHASES * STATES)
        begins = first | (np.diff(phoneme, prepend=-1) != 0) | (np.diff(third, prepend=0) < 0)
        counts = np.add.reduceat(begins.astype(np.int64), self.tokens.starts[:-1])
        frames = np.diff(np.append(np.flatnonzero(begins), len(begins)))
        heard, heard_begins = self.heard.values, np.diff(self.heard.values, prepend=-1) != 0
        heard_begins[self.heard.starts[:-1]] = True
        heard_frames = np.diff(np.append(np.flatnonzero(heard_begins), len(heard)))
        assert max(frames.max(), heard_frames.max()) < 256
        steps = np.diff(self.spoken.values, prepend=0)
        steps[first] = self.spoken.values[first]
        arrays = {
            "texts": self.texts.values,
            "text_lengths": self.texts.lengths.astype(np.uint16),
            "phonemes": phoneme[begins].astype(np.uint8),
            "phoneme_counts": counts.astype(np.uint16),
            "frames": frames.astype(np.uint8),
            "steps": steps.astype(np.uint8),
            "speed": self.speed.astype(np.uint8),
            "mandarin": self.mandarin,
            "transcripts": self.transcripts.values,
            "transcript_lengths": self.transcripts.lengths.astype(np.uint16),
            "heard": heard[heard_begins].astype(np.uint16),
            "heard_frames": heard_frames.astype(np.uint8),
            "heard_lengths": self.heard.lengths.astype(np.uint16),
            "heard_voices": self.heard_voices.astype(np.uint8),
            "voices": self.voices.astype(np.uint8),
            "pitch": self.pitch.astype(np.uint16),
            "female": self.female,
        }
        plain = io.BytesIO()
        np.savez(plain, **arrays)
        partial = file.with_suffix(".partial")
        partial.write_bytes(lzma.compress(plain.getvalue(), preset=6))
        partial.replace(file)

    @classmethod
    def load(cls, file: Path) -> Material:
        """Read what `save` wrote."""
        arrays = np.load(io.BytesIO(lzma.decompress(file.read_bytes())))
        frames = arrays["frames"].astype(np.int64)
        ends = np.cumsum(arrays["phoneme_counts"], dtype=np.int64)
        lengths = np.diff(np.concatenate([[0], np.cumsum(frames)[ends - 1]]))
        frame = np.arange(frames.sum())
        within = frame - np.repeat(np.cumsum(frames) - frames, frames)  # its phoneme
        third = (within + 0.5) * STATES // np.repeat(frames, frames)
        phase = (frame - np.repeat(np.cumsum(lengths) - lengths, lengths)) % 2
        tokens = (np.repeat(arrays["phonemes"], frames) * np.int64(STATES) + third.astype(np.int64)) * PHASES + phase
        steps = np.cumsum(arrays["steps"], dtype=np.int64)
        before = np.concatenate([[0], steps])[np.cumsum(lengths) - lengths]
        return cls(
            Rows.of(arrays["texts"], arrays["text_lengths"]),
            Rows.of(tokens.astype(np.int16), lengths),
            Rows.of((steps - np.repeat(before, lengths)).astype(np.int16), lengths),
            arrays["speed"],
            arrays["mandarin"],
            Rows.of(arrays["transcripts"], arrays["transcript_lengths"]),
            Rows.of(
                np.repeat(arrays["heard"], arrays["heard_frames"]).astype(np.int16),
                arrays["heard_lengths"],
            ),
            arrays["heard_voices"],
            arrays["voices"],
            arrays["pitch"],
            arrays["female"],
        )
