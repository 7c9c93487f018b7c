"""Evaluates the demo model through the engine, on sentences that are not in the training data.

    python -m demo.evaluate

1. Content: by dynamic time warping, the mel cepstra of the speech are closer to the teacher's rendering of the same
   sentence than to its renderings of 50 other sentences of similar length. The same holds for short phrases.
2. Length: the answer ends with the end token, after about as long as the teacher's speech.
3. Control: the labels for pitch, speed and gender have their effect.
4. Cloning: clones of voices that are not in the training data have the voice's pitch.
5. Spectrograms of the model and the teacher, for inspection.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import matplotlib
import numpy as np
import numpy.typing as npt
import parselmouth
import soundfile
import typer
from dtw import dtw
from rich.console import Console
from rich.progress import track

from demo.natural import NaturalTeacher
from demo.subject import Subject, loaded
from demo.teacher import Setting, Teacher
from demo.texts import held_out, phrases
from demo.tokens import frequencies
from demo.voices import CLONED, LEVELS, UNSEEN
from engine import VoiceAttributes
from engine.checkpoints.synthetic import write_checkpoint
from engine.types import CODEC_SAMPLE_RATE, Gender, Samples

matplotlib.use("Agg")

from matplotlib import pyplot as plt

OTHERS, OTHER_PHRASES = 50, 20  # about equally long; of the few phrases fewer are
CEPSTRA = 12


def cepstra(samples: Samples) -> npt.NDArray[np.float64]:
    """Mel cepstra every 10 ms by Praat, without their mean and without silence at the ends, (frames, CEPSTRA)."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    trimmed = samples[loud[0] : loud[-1] + 1] if len(loud) else samples
    sound = parselmouth.Sound(trimmed.astype(np.float64), CODEC_SAMPLE_RATE)
    found = sound.to_mfcc(number_of_coefficients=CEPSTRA, time_step=0.01).to_array()[1:].T
    centred: npt.NDArray[np.float64] = found - found.mean(axis=0)
    return centred


def distance(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """The mean distance of frames along the best alignment."""
    return float(dtw(one, other, distance_only=True).normalizedDistance)


def right(spoken: dict[str, Samples], teacher: dict[str, Samples], others: int = OTHERS) -> float:
    """The share of sentences that are closest to the teacher's rendering of them, among others of similar length."""
    wanted = {text: cepstra(samples) for text, samples in teacher.items()}
    lengths = {text: len(frames) for text, frames in wanted.items()}
    correct = 0
    for text, samples in track(spoken.items(), "Comparing", transient=True):
        heard = cepstra(samples)
        similar = sorted((t for t in wanted if t != text), key=lambda t: abs(lengths[t] - lengths[text]))[:others]
        own = distance(heard, wanted[text])
        correct += all(own < distance(heard, wanted[other]) for other in similar)
    return correct / len(spoken)


def median_pitch(samples: Samples) -> float:
    """The median pitch in Hz, by Praat; 0 if nothing is voiced."""
    found = frequencies(samples)
    return float(np.median(found[found > 0])) if found.any() else 0.0


async def sentences(
    subject: Subject, teacher: Teacher, rendered: dict[str, Samples], out: Path
) -> dict[str, dict[str, float]]:
    """Measures 1, 2 and 5; `rendered` is what the teacher makes of the texts."""
    texts = list(rendered)
    for variant in CLONED:
        await subject.clone(variant, teacher.speak(texts[0] + " " + texts[1], Setting(variant)).samples)
    found = {}
    for voice in ("female", "male", *CLONED):
        spoken = await subject.all(texts, voice)
        lengths = [len(s.samples) / len(rendered[s.text]) for s in spoken]
        found[voice] = {
            "right": right({s.text: s.samples for s in spoken}, rendered),
            "ended": float(np.mean([s.ended for s in spoken])),
            "within 30 % of the teacher's length": float(np.mean([0.7 <= n <= 1.3 for n in lengths])),
        }
        for index, s in enumerate(spoken[:5]):
            if voice in ("female", "male"):
                picture(s.samples, rendered[s.text], s.text, out / f"{voice}-{index}.png")
                soundfile.write(out / f"{voice}-{index}.wav", s.samples, CODEC_SAMPLE_RATE)
    return found


async def short(subject: Subject, natural: NaturalTeacher) -> dict[str, float]:
    """Measure 1 for phrases of a few words."""
    rendered = {text: natural.speak(text) for text in phrases()}
    spoken = {voice: await subject.all(list(rendered), voice) for voice in ("female", "male", "alloy")}
    return {voice: right({s.text: s.samples for s in said}, rendered, OTHER_PHRASES) for voice, said in spoken.items()}


async def bounds(teacher: Teacher, rendered: dict[str, Samples], directory: Path) -> dict[str, float]:
    """What measure 1 is for the teacher in another voice, and for a synthetic model, which is made in `directory`."""
    other_voice = {text: teacher.speak(text, Setting("f2")).samples for text in rendered}
    write_checkpoint(directory / "synthetic", "small")
    async with loaded(str(directory / "synthetic"), "torch", directory) as subject:
        hissed = await subject.all(list(rendered), "female")
    return {
        "ceiling, espeak-ng": right(other_voice, rendered),
        "floor, synthetic weights": right({s.text: s.samples for s in hissed}, rendered),
    }


async def control(subject: Subject, texts: list[str]) -> dict[str, Any]:
    """Measure 3: median pitch in Hz by label, and seconds by speed label, of each gender."""
    found: dict[str, Any] = {}
    genders: tuple[Gender, ...] = ("female", "male")
    for gender in genders:
        pitches, seconds = {}, {}
        for level in LEVELS:
            spoken = [await subject.say(text, gender, pitch=level) for text in texts]
            pitches[level] = float(np.median([median_pitch(s.samples) for s in spoken]))
            name = f"{gender} {level}"
            await subject.engine.voices.create(name, VoiceAttributes(gender, speed=level))
            seconds[level] = sum(len(s.samples) for s in await subject.all(texts, name)) / CODEC_SAMPLE_RATE
        found[gender] = {"pitch": pitches, "seconds": seconds}
    return found


async def cloning(subject: Subject, teacher: Teacher, texts: list[str]) -> dict[str, Any]:
    """Measure 4: the pitch of unseen variants and of their clones."""
    samples, clones = [], []
    for variant in UNSEEN:
        said = teacher.speak(" ".join(texts[:2]), Setting(variant)).samples
        await subject.clone(f"unseen {variant}", said)
        spoken = [await subject.say(text, f"unseen {variant}") for text in texts[2:5]]
        samples.append(median_pitch(said))
        clones.append(float(np.median([median_pitch(s.samples) for s in spoken])))
    return {
        "samples": dict(zip(UNSEEN, samples, strict=True)),
        "clones": dict(zip(UNSEEN, clones, strict=True)),
        "correlation": float(np.corrcoef(samples, clones)[0, 1]),
    }


def picture(model: Samples, teacher: Samples, text: str, file: Path) -> None:
    """Two spectrograms, the model's above the teacher's."""
    figure, axes = plt.subplots(2, 1, figsize=(10, 5), sharex=True)
    for axis, samples, title in zip(axes, (model, teacher), (text, "the teacher"), strict=True):
        axis.specgram(samples + 1e-6, NFFT=512, noverlap=384, Fs=CODEC_SAMPLE_RATE, vmin=-120)
        axis.set(ylabel="Hz", title=title)
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)


async def evaluate(model: str, backend: str, out: Path, count: int) -> dict[str, Any]:
    """All measures."""
    teacher, natural = Teacher(), NaturalTeacher()
    texts = held_out()[:count]
    rendered = {text: natural.speak(text) for text in texts}
    with TemporaryDirectory() as voices, TemporaryDirectory() as synthetic:
        async with loaded(model, backend, Path(voices)) as subject:
            return {
                "sentences": await sentences(subject, teacher, rendered, out),
                "phrases": await short(subject, natural),
                "control": await control(subject, texts[:4]),
                "cloning": await cloning(subject, teacher, texts[:5]),
                "bounds": await bounds(teacher, rendered, Path(synthetic)),
            }


def main(
    model: Annotated[str, typer.Option(help="The checkpoint's directory.")] = "build/demo/checkpoint",
    out: Annotated[Path, typer.Option(help="Where results and pictures go.")] = Path("build/demo/evaluation"),
    backend: Annotated[str, typer.Option(help="What runs the language model: torch or llama-cpp.")] = "torch",
    sentences: Annotated[int, typer.Option(help="How many of the held-out sentences.")] = 110,
) -> None:
    """Measure, print and write `results.json`."""
    out.mkdir(parents=True, exist_ok=True)
    results = asyncio.run(evaluate(model, backend, out, sentences))
    (out / "results.json").write_text(json.dumps(results, indent=2))
    Console().print_json(data=results)


if __name__ == "__main__":
    typer.run(main)
