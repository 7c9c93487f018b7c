"""Whether people would understand the model: what independent judges hear of everyday sentences.

    python -m demo.intelligibility --model engine/demo

The sentences (`listened.txt`) are outside the training texts and their templates. Beside the model's voices and clones
are its teachers: espeak-ng, whose voices the speaker encoder learns from, and hibari, which reads and sounds.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from demo.hearing import Size, error_rate, errors, hear, units
from demo.natural import NaturalTeacher
from demo.recordings import Recording, of_files, of_people, of_synthesiser
from demo.subject import Spoken, Subject, loaded
from demo.teacher import Teacher
from demo.texts import listened
from engine import BUILT_IN
from engine.types import Samples

LENGTH = 0.3  # how far an answer's length may be from the teacher's

Rates = dict[str, float]
Recordings = dict[str, Recording]


def rates(said: list[str], recordings: list[Samples], size: Size, quality: bool) -> Rates:
    """The word error rate, the share of texts without an error, and DNSMOS's overall score."""
    heard = hear(recordings, size, quality=quality)
    found = {
        "word error rate": error_rate(said, [h.text for h in heard]),
        "wholly right": float(np.mean([not errors(units(t), units(h.text)) for t, h in zip(said, heard, strict=True)])),
    }
    scores = [h.quality for h in heard if h.quality is not None]
    return found | ({"quality": float(np.mean(scores))} if scores else {})


def spoken_rates(spoken: list[Spoken], lengths: list[int], size: Size, quality: bool) -> Rates:
    """The rates of the model's speech, with how often it ended, and was about as long as the teacher's `lengths`."""
    near = [abs(len(s.samples) / length - 1) <= LENGTH for s, length in zip(spoken, lengths, strict=True)]
    return rates([s.text for s in spoken], [s.samples for s in spoken], size, quality) | {
        "ended": float(np.mean([s.ended for s in spoken])),
        "within 30 % of the teacher's length": float(np.mean(near)),
    }


async def understood(
    subject: Subject, texts: list[str], voices: list[str], recordings: Recordings, size: Size, quality: bool
) -> dict[str, Rates]:
    """What the judges hear of the teachers, of the model's voices, and of clones with and without a transcript."""
    espeak, natural = Teacher(), NaturalTeacher()
    own = [natural.speak(text) for text in texts]
    lengths = [len(samples) for samples in own]
    found = {
        "espeak-ng, a teacher": rates(texts, [espeak.speak(text).samples for text in texts], size, quality),
        "hibari, the teacher": rates(texts, own, size, quality),
    }
    for name, recording in recordings.items():
        for given in [None, recording.text] if recording.text else [None]:
            voice = f"clone of {name}" + (", with its transcript" if given else "")
            await subject.clone(voice, recording.samples, given)
            voices = [*voices, voice]
    for voice in voices:
        found[voice] = spoken_rates(await subject.all(texts, voice), lengths, size, quality)
    return found


async def measure(
    model: str, backend: str, count: int, voices: list[str], recordings: Recordings, size: Size
) -> dict[str, Rates]:
    """All of it, for a checkpoint."""
    with TemporaryDirectory() as directory:
        async with loaded(model, backend, Path(directory)) as subject:
            return await understood(subject, listened()[:count], voices, recordings, size, quality=True)


def main(
    model: Annotated[str, typer.Option(help="The checkpoint's directory.")] = "build/demo/checkpoint",
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/demo/evaluation"),
    backend: Annotated[str, typer.Option(help="What runs the language model: torch or llama-cpp.")] = "torch",
    sentences: Annotated[int, typer.Option(help="How many of the sentences.")] = 106,
    voice: Annotated[list[str], typer.Option(help="A voice; all that are built in if none is given.")] = [],  # noqa: B006
    sample: Annotated[list[Path], typer.Option(help="A recording to clone, its text beside it in a .txt.")] = [],  # noqa: B006
    size: Annotated[str, typer.Option(help="Whisper's: base or tiny.en.")] = "base",
) -> None:
    """Measure, print and write `intelligibility.json`."""
    out.mkdir(parents=True, exist_ok=True)
    chosen: Size = "tiny.en" if size == "tiny.en" else "base"
    recordings = {**of_synthesiser(), **of_people(), **of_files(sample)}
    results = asyncio.run(measure(model, backend, sentences, voice or list(BUILT_IN), recordings, chosen))
    (out / "intelligibility.json").write_text(json.dumps(results, indent=2))
    Console().print_json(data=results)


if __name__ == "__main__":
    typer.run(main)
