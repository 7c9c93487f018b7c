"""What the decoder learns from: windows of speech at one pitch, with their tokens and a voice of that pitch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from demo.spectra import Kept
from demo.voicing import STEP, Kind, Mouth, nearest_step
from demo.waveform_basis import components, frames
from engine.types import SAMPLES_PER_TOKEN

WINDOW = 40  # frames
BETWEEN = 5.0  # Hz
VOICES = "voices.npz"
SILENCE = 0.003  # energy, with high frequencies raised, of a frame that hardly matters
LANGUAGES = ("en", "zh")
MANY = 2**24  # samples that tell what frames consist of
SHARE = 0.35  # of windows that are in another language than the first, if there is one


@dataclass(frozen=True, slots=True)
class HeardVoices:
    """The voices of the corpus: their global tokens (N, 32), the pitch in Hz that these encode (N,), and `female`."""

    said: Tensor
    read: npt.NDArray[np.float64]
    female: npt.NDArray[np.bool_]

    def save(self, file: Path) -> None:
        """Write a compressed file."""
        np.savez_compressed(file, said=self.said.numpy().astype(np.int16), read=self.read, female=self.female)

    @classmethod
    def load(cls, file: Path) -> HeardVoices:
        """Read what `save` wrote; raises FileNotFoundError if there is none."""
        if not file.exists():
            raise FileNotFoundError(f"There is no {file}: run python -m demo.gather first")
        with np.load(file) as content:
            return cls(torch.from_numpy(content["said"]).long(), content["read"], content["female"])

    def kinds(self) -> dict[Kind, npt.NDArray[np.int64]]:
        """The voices of each kind."""
        steps = nearest_step(self.read)
        found = sorted(set(zip(steps.tolist(), self.female.tolist(), strict=True)))
        return {kind: np.flatnonzero((steps == kind[0]) & (self.female == kind[1])) for kind in found}


class FlatWindows:
    """Windows of flat speech, with semantic and global tokens; all kinds of voices are as frequent."""

    def __init__(self, directory: Path, voices: HeardVoices, device: str, random: np.random.Generator) -> None:
        """Speak the spectra in the directory: in every kind on a GPU, and each sentence in one kind on a CPU."""
        self._random, self._device = random, device
        self._voices = voices.said.to(device)
        self._of_kind = list(voices.kinds().items())
        # Voices between two pitches are the hardest to tell apart, so they are heard more often.
        weights = [
            1 + (np.abs(voices.read[own] - kind[0]).clip(max=STEP / 2) / BETWEEN) ** 2 for kind, own in self._of_kind
        ]
        self._weights = [one / one.sum() for one in weights]
        files = [directory / f"spectra-{language}.npz" for language in LANGUAGES]
        parts = [Kept.load(file) for file in files if file.exists()]
        if not parts:
            raise FileNotFoundError(f"{directory} holds no spectra: run python -m demo.flat_speech first")
        kept = Kept.joined(parts)
        language = np.repeat(np.arange(len(parts)), [len(part.frames) for part in parts])
        self._tokens = torch.from_numpy(kept.tokens).long().to(device)
        self._first = np.cumsum(kept.frames) - kept.frames
        self._lengths = kept.frames
        # Where a sentence in a kind begins in the samples, or -1.
        self._rows = np.full((len(kept.frames), len(self._of_kind)), -1)
        self._samples = self._spoken(kept)
        usable = (self._rows >= 0) & (kept.frames >= WINDOW)[:, None]
        self._usable = [[np.flatnonzero(one & (language == part)) for one in usable.T] for part in range(len(parts))]

    def _spoken(self, kept: Kept) -> Tensor:
        """Speak all sentences; 16-bit samples, one after the other."""
        mouth = Mouth([kind for kind, _ in self._of_kind], self._device)
        pieces, at = [], 0
        everything = torch.device(self._device).type == "cuda"
        for sentence in track(range(len(kept.frames)), "Speaking"):
            kinds = range(len(self._of_kind))
            chosen = list(kinds) if everything else [int(self._random.integers(len(kinds)))]
            waves = mouth.speak(kept, sentence, chosen)
            pieces.append((waves.clamp(-1, 1) * 32_767).to(torch.int16).flatten())
            self._rows[sentence, chosen] = at + np.arange(len(chosen)) * waves.shape[1]
            at += waves.numel()
        return torch.cat(pieces)

    def main_shapes(self) -> Tensor:
        """What frames mainly consist of, (SHAPES, 640)."""
        pieces = frames(self._samples[:MANY].cpu().float() / 32_767)
        loud = pieces / (pieces.square().sum(1, keepdim=True) + SILENCE).sqrt()  # quiet sounds matter as well
        return components(loud.T @ loud / len(loud))

    def batch(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Semantic tokens (size, WINDOW), global tokens (size, 32), samples (size, 320 * WINDOW)."""
        chosen = torch.tensor([self._window() for _ in range(size)]).to(self._device)
        tokens, samples, voices = chosen.T[..., None]
        place = torch.arange(WINDOW, device=self._device)
        sample = torch.arange(WINDOW * SAMPLES_PER_TOKEN, device=self._device)
        return (
            self._tokens[tokens + place],
            self._voices[voices[:, 0]],
            self._samples[samples + sample].float() / 32_767,
        )

    def _window(self) -> tuple[int, int, int]:
        """A window's first token, its first sample, and a voice."""
        usable: npt.NDArray[np.int64] = np.empty(0, np.int64)
        while not len(usable):
            kind = int(self._random.integers(len(self._of_kind)))
            other = len(self._usable) > 1 and self._random.random() < SHARE
            usable = self._usable[int(other)][kind]
        sentence = int(self._random.choice(usable))
        start = int(self._random.integers(self._lengths[sentence] - WINDOW + 1))
        voice = int(self._random.choice(self._of_kind[kind][1], p=self._weights[kind]))
        first = int(self._rows[sentence, kind]) + start * SAMPLES_PER_TOKEN
        return int(self._first[sentence]) + start, first, voice
