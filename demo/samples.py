"""What a checkpoint's encoder hears in samples of voices whose texts are known: how prompts for clones begin.

    python -m demo.samples

The encoder is small, so much of it is wrong. The language model learns from these to go on after a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import soxr
import torch
import typer
from rich.progress import track

from demo.corpus import Arrays
from demo.mandarin_texts import MandarinTexts
from demo.natural import NaturalTeacher
from demo.teacher import Teacher
from demo.texts import Texts
from demo.voices import LEVELS, RATES, draw
from engine.checkpoints.layout import demo_directory
from engine.codec.bicodec import BiCodec
from engine.types import CODEC_SAMPLE_RATE, Samples
from engine.voices.samples import normalise_volume

SHORTEST, LONGEST = 2.5, 28.0  # seconds
NATURAL, MANDARIN = 0.35, 0.12  # of the samples are hibari's, and Mandarin by espeak-ng; the others its English voices
FASTER = 0.82, 1.25  # hibari's speech is played so much faster, with a pitch as much higher
NOISY = 0.4  # of the samples have noise,
NOISE = -50, -25  # at so many decibels
TILT = 0.5  # at most: a filter of one coefficient makes a sample darker or brighter
SHARD = 25

Speaker = Callable[[], tuple[str, Samples]]  # a sentence at a time, with its text


class Recorder:
    """Records samples of one or several sentences."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._texts, self._mandarin_texts = Texts(self._random), MandarinTexts(self._random)
        self._natural, self._espeak = NaturalTeacher(), Teacher()

    def sample(self) -> tuple[str, Samples]:
        """A sample's transcript and its samples at 16 kHz, at the volume of serving."""
        # Lengths are spread evenly over their logarithm, as people's samples are: most have 5 to 15 s.
        wanted = SHORTEST * (LONGEST / SHORTEST) ** self._random.random()
        speak = self._speaker()
        texts, waves, seconds = list[str](), list[Samples](), 0.0
        while seconds < wanted:
            text, wave = speak()
            seconds += len(wave) / CODEC_SAMPLE_RATE
            if seconds > LONGEST and texts:
                break
            texts.append(text)
            waves.append(wave)
        return " ".join(texts), normalise_volume(self._recorded(np.concatenate(waves)))

    def _speaker(self) -> Speaker:
        kind = self._random.random()
        if kind < NATURAL:
            faster = float(self._random.uniform(*FASTER))

            def natural() -> tuple[str, Samples]:
                text = self._texts.draw()
                wave = self._natural.speak(text)
                return text, soxr.resample(wave, CODEC_SAMPLE_RATE * faster, CODEC_SAMPLE_RATE)

            return natural
        voice = replace(draw(self._random), rate=int(self._random.integers(RATES[LEVELS[0]], RATES[LEVELS[-1]])))
        if mandarin := kind < NATURAL + MANDARIN:
            voice = replace(voice, language="cmn-latn-pinyin")

        def espeak() -> tuple[str, Samples]:
            text = (self._mandarin_texts if mandarin else self._texts).draw().replace("-", " ")
            return text, self._espeak.speak(text, voice).samples

        return espeak

    def _recorded(self, wave: Samples) -> Samples:
        """A wave as other rooms and microphones have it."""
        tilt = float(self._random.uniform(-TILT, TILT))
        wave = np.convolve(wave, np.array([1, tilt], np.float32))[: len(wave)].astype(np.float32)
        if self._random.random() < NOISY:
            loudness = float(np.abs(wave).max()) * 10 ** (float(self._random.uniform(*NOISE)) / 20)
            wave = wave + np.float32(loudness) * self._random.standard_normal(len(wave), np.float32)
        return wave


def _shard(seed: int, checkpoint: Path, path: Path) -> None:
    torch.set_num_threads(1)
    recorder, codec = Recorder(seed), BiCodec.from_checkpoint(checkpoint)
    texts, voices, heard = [], [], []
    for _ in range(SHARD):
        text, wave = recorder.sample()
        voice, tokens = codec.encode(wave)
        texts.append(text)
        voices.append(voice.astype(np.int16))
        heard.append(tokens.astype(np.int16))
    arrays: Arrays = {
        "texts": np.array(texts),
        "voices": np.stack(voices),
        "tokens": np.concatenate(heard),
        "frames": np.array([len(tokens) for tokens in heard]),
    }
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.rename(path)


def main(
    corpus: Annotated[Path, typer.Option(help="Where the corpus is kept.")] = Path("build/demo/corpus"),
    checkpoint: Annotated[Path, typer.Option(help="Whose encoder hears them.")] = demo_directory(),  # noqa: B008
    samples: Annotated[int, typer.Option(help="How many.")] = 6000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Record the samples and encode them; shards that exist are kept."""
    corpus.mkdir(parents=True, exist_ok=True)
    shards = {seed: corpus / f"samples-{seed}.npz" for seed in range(300_000, 300_000 + samples // SHARD)}
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(_shard, seed, checkpoint, path) for seed, path in shards.items() if not path.exists()]
        for future in track(as_completed(futures), "Hearing", total=len(futures)):
            future.result()


if __name__ == "__main__":
    typer.run(main)
