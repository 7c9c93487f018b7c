"""False alarms of the checks of takes, on speech without faults: `python -m benchmarks.take_alarms`.

The speech is that of the demo's teachers, and of people: the prompts of Asterisk, in one voice, and the recordings of
PocketSphinx's tests (Debian's packages asterisk-core-sounds-en-g722 and pocketsphinx-testdata). It goes through the
demo's encoder and decoder, so that the checks have tokens and samples of the kind that they have when a model speaks.
"""

from __future__ import annotations

import gzip
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import soundfile
import typer
from rich.console import Console

from demo.natural import NaturalTeacher
from demo.teacher import Setting, Teacher
from demo.texts import held_out
from engine.checkpoints.layout import demo_directory
from engine.codec.bicodec import BiCodec
from engine.takes.length import Lengths
from engine.takes.take import Take
from engine.text import normalise, speech_weight
from engine.types import CODEC_SAMPLE_RATE, TOKENS_PER_SECOND, Passage, Samples

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PROMPT_TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
SPHINX = Path("/usr/share/pocketsphinx/test/data")
FEWEST = 3  # words of a recording
DEMO = demo_directory()
console = Console(markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Recording:
    """Speech at 16 kHz, what is said, and by whom."""

    speaker: str
    text: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class Coded:
    """A recording as tokens, and the samples that the decoder makes of them."""

    text: str
    tokens: list[int]
    samples: Samples

    def take(self, rate: float | None, *, after_another: bool = False) -> Take:
        """The take that a model had drawn that says this; `rate` is the speaker's.

        With `after_another` only the second half of it was drawn, after a take that failed.
        """
        kept = len(self.tokens) // 2 if after_another else 0
        take = Take(Lengths.of(self.text, rate), self.tokens[:kept])
        for token in self.tokens[kept:]:
            take.push(token)
        take.hear(self.samples, last=True)
        take.end(bounded=False)
        return take


def teachers(count: int) -> Iterator[Recording]:
    """Sentences by the teachers, espeak-ng in two of its voices."""
    teacher, natural = Teacher(), NaturalTeacher()
    for text in held_out()[:count]:
        yield Recording("espeak-ng", text, teacher.speak(text).samples)
        yield Recording("espeak-ng f2", text, teacher.speak(text, Setting("f2")).samples)
        yield Recording("hibari", text, natural.speak(text))


def prompts(count: int) -> Iterator[Recording]:
    """Asterisk's prompts of some words, without those that are sounds."""
    found = 0
    with gzip.open(PROMPT_TEXTS, "rt") as file:
        lines = [line.strip().partition(": ") for line in file]
    for name, _, text in lines:
        path = PROMPTS / f"{name}.g722"
        if len(text.split()) < FEWEST or re.search(r"[\[\]()<>]", text) or not path.exists():
            continue
        with av.open(str(path), format="g722") as container:
            pieces = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        yield Recording(
            "Asterisk's prompts", normalise(text), np.concatenate(pieces).astype(np.float32) / np.float32(32_768)
        )
        found += 1
        if found == count:
            return


def sphinx() -> Iterator[Recording]:
    """The recordings of PocketSphinx's tests: readers of audio books, and playing cards."""
    for folder in ("librivox", "cards"):
        for file in sorted((SPHINX / folder).glob("*transcription")):
            for line in file.read_text().splitlines():
                if (found := re.fullmatch(r"(.*)\((\S+)\)\s*", line)) and (path := _wave(file.parent, found[2])):
                    words = re.sub(r"<[^>]*>", "", found[1]).strip()
                    samples, rate = soundfile.read(path, dtype="float32")
                    if rate == CODEC_SAMPLE_RATE:
                        yield Recording(f"PocketSphinx's {folder}", normalise(f"{words}."), samples)


def _wave(folder: Path, name: str) -> Path | None:
    path = folder / f"{Path(name).name}.wav"
    return path if path.exists() else None


def coded(codec: BiCodec, recording: Recording) -> Coded:
    """Encode and decode a recording."""
    globals_, semantic = codec.encode_batch([recording.samples])[0]
    return Coded(recording.text, semantic.tolist(), codec.decode_batch([Passage(semantic, globals_)])[0])


def rate_of(recordings: list[Coded]) -> float:
    """How fast somebody speaks: the median of their lengths, divided by the estimates."""
    lengths = [one.take(None).sound.spoken / TOKENS_PER_SECOND / speech_weight(one.text) for one in recordings]
    return statistics.median(lengths)


def main(
    model: Annotated[Path, typer.Option(help="A checkpoint of the demo model's kind.")] = DEMO,
    sentences: Annotated[int, typer.Option(help="Of each teacher's voice; twice as many prompts.")] = 100,
) -> None:
    """Print a Markdown table."""
    codec = BiCodec.from_checkpoint(model)
    speakers: dict[str, list[Coded]] = {}
    for source in (teachers(sentences), prompts(2 * sentences), sphinx()):
        for recording in source:
            speakers.setdefault(recording.speaker, []).append(coded(codec, recording))
    console.print(
        "| speech | recordings | minutes | alarms, with the speaker's rate | without it | after a failed take |\n"
        "|---|---|---|---|---|---|"
    )
    for speaker, recordings in speakers.items():
        rate = rate_of(recordings)
        minutes = sum(len(one.tokens) for one in recordings) / TOKENS_PER_SECOND / 60
        alarms = [_alarms([one.take(used) for one in recordings]) for used in (rate, None)]
        alarms.append(_alarms([one.take(rate, after_another=True) for one in recordings]))
        console.print(f"| {speaker} | {len(recordings)} | {minutes:.1f} | {' | '.join(alarms)} |")


def _alarms(takes: list[Take]) -> str:
    found = Counter(str(take.fault) for take in takes if take.fault)
    return ", ".join(f"{count} {fault}" for fault, count in sorted(found.items())) or "0"


if __name__ == "__main__":
    typer.run(main)
