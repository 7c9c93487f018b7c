"""Speech for the decoder's training: the natural teacher's sentences, at one pitch, aligned with the frames.

    python -m demo.flat_speech
    python -m demo.flat_speech --language zh --sentences 1600

Frames of 20 ms do not show the phase of the voice's period, so a vocoder must generate a phase, and learning that takes
days of training. Here every voice has a pitch that is a multiple of 25 Hz, a whole period begins with every second
frame, a token says whether its frame is the first or the second of a pair, and noise repeats with each pair. So the
same sound always has the same waveform, which is quick to learn. The cost is a voice without intonation.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import typer
from rich.progress import track
from torch import Tensor

from demo.mandarin import MandarinTeacher
from demo.mandarin_texts import MandarinTexts
from demo.natural import NaturalTeacher, Reading, Spectra
from demo.texts import Texts
from demo.train_speaker import Voices, flat_pitch
from engine.types import CODEC_SAMPLE_RATE, SAMPLES_PER_TOKEN, Samples
from engine.voices.samples import normalise_volume

PAIR = 2 * SAMPLES_PER_TOKEN
FFT, HOP = 800, 200  # at 16 kHz: the teacher's 20 Hz and 12.5 ms
OWN_PITCH = 190.0  # Hz, the teacher's: its amplitudes are those of harmonics so far from each other
VOICED = 40.0  # Hz: a frame with a lower frequency has no voice
EARLY = 2
"""Frames: so much before the time that teachers give a phoneme, it is heard. Spectra tell phonemes best there."""
SHARD = 160  # sentences
EACH = {"en": 1, "zh": 4}  # at how many pitches a sentence is spoken; Mandarin's teacher takes a second for three

FlatLanguage = Literal["en", "zh"]

Flat = tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]


@cache
def noise() -> Tensor:
    """A pair of frames of noise."""
    return torch.randn(PAIR, generator=torch.Generator().manual_seed(0))


@cache
def pulses(pitch: float) -> Tensor:
    """A pair of frames of pulses at a pitch in Hz, of harmonics with amplitude 1; pulses can be between samples."""
    harmonics = torch.arange(1, int(CODEC_SAMPLE_RATE / 2 // pitch) + 1)
    times = torch.arange(PAIR) / CODEC_SAMPLE_RATE
    return torch.cos(2 * torch.pi * pitch * harmonics[:, None] * times).sum(0)


def tract(pitch: float, female: bool) -> float:
    """How much lower or higher a voice's formants are than the teacher's, a woman's at 190 Hz."""
    return 1 + 0.0006 * (pitch - 200) if female else 0.86 + 0.0006 * (pitch - 125)


def warped(amplitudes: npt.NDArray[np.float32], factor: float) -> Tensor:
    """Amplitudes (601, T) of frequencies up to 12 kHz, with all formants at `factor` times theirs, up to 8 kHz."""
    places = np.clip(np.arange(FFT // 2 + 1) / factor, 0, len(amplitudes) - 1)
    below = np.minimum(places.astype(int), len(amplitudes) - 2)
    part = (places - below)[:, None].astype(np.float32)
    return torch.from_numpy(amplitudes[below] * (1 - part) + amplitudes[below + 1] * part)


def speak(spectra: Spectra, pitch: float, female: bool) -> Samples:
    """A sentence's samples at a constant pitch in Hz: pulses and noise, both filtered without changing their phase."""
    steps = len(spectra.frequency)
    window = torch.hann_window(FFT)
    total = torch.zeros(FFT // 2 + 1, steps + 1, dtype=torch.complex64)
    voiced = torch.from_numpy((spectra.frequency > VOICED).astype(np.float32)) * (pitch / OWN_PITCH) ** 0.5
    factor = tract(pitch, female)
    for source, scale, amplitudes in (
        (pulses(pitch), 4 / FFT, warped(spectra.periodic, factor) * voiced),
        (noise(), float(window.square().sum()) ** -0.5, warped(spectra.noisy, factor)),
    ):
        excitation = source.repeat(-(-steps * HOP // PAIR))[: steps * HOP]
        found = torch.stft(excitation, FFT, HOP, FFT, window, return_complex=True)
        total += found * scale * torch.nn.functional.pad(amplitudes, (0, 1))
    samples: Samples = torch.istft(total, FFT, HOP, FFT, window, length=steps * HOP).numpy()
    return samples


def aligned(read: Reading, pitch: float, female: bool) -> npt.NDArray[np.int16]:
    """A sentence's samples at a pitch in Hz, as many frames as it has tokens; raises ValueError without its spectra."""
    if read.spectra is None:
        raise ValueError("The teacher gave no spectra.")
    first, length = (read.begin - EARLY) * SAMPLES_PER_TOKEN, len(read.tokens) * SAMPLES_PER_TOKEN
    said = np.pad(speak(read.spectra, pitch, female), (max(0, -first), length))[max(0, first) :][:length]
    return (normalise_volume(said).clip(-1, 1) * 32_767).astype(np.int16)


def shard(seed: int, voices: list[tuple[float, bool]], language: FlatLanguage = "en") -> list[tuple[Flat, float, bool]]:
    """Sentences as samples and tokens, each with some of the pitches and genders."""
    torch.set_num_threads(1)
    random = np.random.default_rng(seed)
    texts: Texts | MandarinTexts = Texts(random) if language == "en" else MandarinTexts(random)
    teacher = NaturalTeacher() if language == "en" else MandarinTeacher()
    found: list[tuple[Flat, float, bool]] = []
    while len(found) < SHARD:
        read = teacher.read(texts.draw(), spectra=True)
        if read is None:
            continue
        for kind in random.permutation(len(voices))[: EACH[language]]:
            pitch, female = voices[int(kind)]
            found.append(((aligned(read, pitch, female), read.tokens.astype(np.int16)), pitch, female))
    return found


def flat(directory: Path) -> dict[str, npt.NDArray[Any]]:
    """The flat speech of all languages in a directory; raises FileNotFoundError if there is none."""
    files = sorted(directory.glob("flat-??.npz"))
    if not files:
        raise FileNotFoundError(f"{directory} holds no flat speech: run python -m demo.flat_speech first")
    content = [np.load(file) for file in files]
    return {name: np.concatenate([one[name] for one in content]) for name in content[0].files}


def main(
    corpus: Annotated[Path, typer.Option(help="What demo.corpus made.")] = Path("build/demo/corpus"),
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
    sentences: Annotated[int, typer.Option(help="How many.")] = 4000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
) -> None:
    """Speak sentences at the pitches and as the genders that the global tokens of the corpus encode."""
    chosen: FlatLanguage = "zh" if language == "zh" else "en"
    voices = Voices(corpus)
    said = torch.load(out / "global_tokens.pt", weights_only=True)
    pitch = flat_pitch(out, said, voices)
    kinds = sorted({(float(p), bool(f)) for p, f in zip(pitch, voices.female, strict=True)})
    with ProcessPoolExecutor(workers) as pool:
        shards = pool.map(partial(shard, voices=kinds, language=chosen), range(-(-sentences // SHARD)))
        made = [one for some in track(shards, "Speaking", total=-(-sentences // SHARD)) for one in some]
    spoken, pitches, females = zip(*made, strict=True)
    unfinished = out / f"flat-{chosen}.partial.npz"
    np.savez(
        unfinished,
        samples=np.concatenate([samples for samples, _ in spoken]),
        tokens=np.concatenate([tokens for _, tokens in spoken]),
        frames=np.array([len(tokens) for _, tokens in spoken]),
        pitch=np.array(pitches),
        female=np.array(females),
    )
    unfinished.rename(out / f"flat-{chosen}.npz")


if __name__ == "__main__":
    typer.run(main)
