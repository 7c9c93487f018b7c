"""Whether people would understand the model: what independent judges hear of everyday sentences.

    python -m demo.intelligibility --model engine/demo
    python -m demo.intelligibility --model engine/demo --language zh

The sentences (`listened.txt`, `listened_zh.txt`) are outside the training texts. Beside the model's voices and clones
are its teachers: espeak-ng, whose voices the speaker encoder learns from, and hibari and Kokoro, which read and sound.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from demo import mandarin_texts
from demo.hearing import ListenerLanguage, Size, error_rate, errors, hear, units
from demo.mandarin import MandarinTeacher
from demo.natural import NaturalTeacher
from demo.recordings import Recording, of_files, of_people, of_synthesiser
from demo.subject import Spoken, Subject, loaded
from demo.teacher import Teacher
from demo.texts import listened
from engine import BUILT_IN
from engine.text.normalise import normalise
from engine.text.pinyin import spelled
from engine.types import Samples

LENGTH = 0.3  # how far an answer's length may be from the teacher's

Rates = dict[str, float]
Recordings = dict[str, Recording]


@dataclass(frozen=True, slots=True)
class Judges:
    """Which Whisper hears which language, and whether DNSMOS rates the sound."""

    size: Size = "base"
    language: ListenerLanguage = "en"
    quality: bool = True

    def rates(self, said: list[str], recordings: list[Samples]) -> Rates:
        """The error rate of words or syllables, the share of texts without an error, and DNSMOS's overall score."""
        heard = hear(recordings, self.size, self.language, self.quality)
        wholly = [not errors(units(text), units(h.text)) for text, h in zip(said, heard, strict=True)]
        unit = "syllable" if self.language == "zh" else "word"
        found = {
            f"{unit} error rate": error_rate(said, [h.text for h in heard]),
            "wholly right": float(np.mean(wholly)),
        }
        scores = [h.quality for h in heard if h.quality is not None]
        return found | ({"quality": float(np.mean(scores))} if scores else {})

    def spoken_rates(self, spoken: list[Spoken], lengths: list[int]) -> Rates:
        """The rates of the model's speech, with how often it ended and was as long as the teacher's `lengths`."""
        near = [abs(len(s.samples) / length - 1) <= LENGTH for s, length in zip(spoken, lengths, strict=True)]
        return self.rates([s.text for s in spoken], [s.samples for s in spoken]) | {
            "ended": float(np.mean([s.ended for s in spoken])),
            "within 30 % of the teacher's length": float(np.mean(near)),
        }


def taught(texts: list[str], language: ListenerLanguage) -> dict[str, list[Samples]]:
    """What each teacher makes of the texts; the model learnt to read from the last."""
    if language == "zh":
        kokoro = MandarinTeacher()
        return {"Kokoro, the teacher": [kokoro.speak(spelled(normalise(text))) for text in texts]}
    espeak, natural = Teacher(), NaturalTeacher()
    return {
        "espeak-ng, a teacher": [espeak.speak(text).samples for text in texts],
        "hibari, the teacher": [natural.speak(text) for text in texts],
    }


async def understood(
    subject: Subject, texts: list[str], voices: list[str], recordings: Recordings, judges: Judges
) -> dict[str, Rates]:
    """What the judges hear of the teachers, of the model's voices, and of clones with and without a transcript."""
    own = taught(texts, judges.language)
    found = {name: judges.rates(texts, spoken) for name, spoken in own.items()}
    lengths = [len(samples) for samples in list(own.values())[-1]]
    for name, recording in recordings.items():
        for given in [None, recording.text] if recording.text else [None]:
            voice = f"clone of {name}" + (", with its transcript" if given else "")
            await subject.clone(voice, recording.samples, given)
            voices = [*voices, voice]
    for voice in voices:
        found[voice] = judges.spoken_rates(await subject.all(texts, voice), lengths)
    return found


async def measure(
    model: str, backend: str, texts: list[str], voices: list[str], recordings: Recordings, judges: Judges
) -> dict[str, Rates]:
    """All of it, for a checkpoint."""
    with TemporaryDirectory() as directory:
        async with loaded(model, backend, Path(directory)) as subject:
            return await understood(subject, texts, voices, recordings, judges)


def main(
    model: Annotated[str, typer.Option(help="The checkpoint's directory.")] = "build/demo/checkpoint",
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/demo/evaluation"),
    backend: Annotated[str, typer.Option(help="What runs the language model: torch or llama-cpp.")] = "torch",
    sentences: Annotated[int, typer.Option(help="How many of the sentences.")] = 106,
    voice: Annotated[list[str], typer.Option(help="A voice; all that are built in if none is given.")] = [],  # noqa: B006
    sample: Annotated[list[Path], typer.Option(help="A recording to clone, its text beside it in a .txt.")] = [],  # noqa: B006
    size: Annotated[str, typer.Option(help="Whisper's: base or tiny.en.")] = "base",
    language: Annotated[str, typer.Option(help="en, or zh: Mandarin sentences, syllables without tones.")] = "en",
) -> None:
    """Measure, print and write `intelligibility.json`, or `intelligibility-zh.json`."""
    out.mkdir(parents=True, exist_ok=True)
    judges = Judges("tiny.en" if size == "tiny.en" else "base", "zh" if language == "zh" else "en")
    if judges == Judges("tiny.en", "zh"):
        raise typer.BadParameter("tiny.en hears English only")
    texts = (mandarin_texts.listened() if judges.language == "zh" else listened())[:sentences]
    recordings = {**of_synthesiser(), **of_people(), **of_files(sample)}
    results = asyncio.run(measure(model, backend, texts, voice or list(BUILT_IN), recordings, judges))
    file = "intelligibility-zh.json" if judges.language == "zh" else "intelligibility.json"
    (out / file).write_text(json.dumps(results, indent=2))
    Console().print_json(data=results)


if __name__ == "__main__":
    typer.run(main)
