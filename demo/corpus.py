"""The corpus from the teacher: sentences in many voices for the codec, and many in one voice for the language model.

python -m demo.corpus
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.progress import track

from demo import tokens
from demo.mandarin import MandarinTeacher
from demo.mandarin_texts import MandarinTexts
from demo.natural import NaturalTeacher
from demo.teacher import Setting, Teacher, Utterance
from demo.texts import Texts
from demo.voices import FEMALE, LEVELS, RATES, draw
from engine.types import SAMPLES_PER_TOKEN, TokenIds
from engine.voices.samples import normalise_volume

SAID = 4  # sentences in each voice
SHARD_VOICES, SHARD_TEXTS = 50, 500

Arrays = dict[str, npt.NDArray[np.generic]]


class Recorder:
    """Records the sentences that the codec and the language model learn from."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self._teacher = Teacher()
        self._texts = Texts(self.random)

    def sentence(self, setting: Setting) -> tuple[str, Utterance, TokenIds]:
        """A sentence, its speech, and its tokens."""
        while True:
            text = self._texts.draw()
            heard = self._teacher.speak(text, setting)
            try:
                starts = tokens.phonemes(heard)
            except KeyError:  # a sound that English hardly has
                continue
            return text, heard, tokens.tokens(starts, len(tokens.padded(heard)) // SAMPLES_PER_TOKEN)

    def voices(self) -> Arrays:
        """A shard for the codec: samples, tokens and median pitch, of `SAID` sentences in each of several voices."""
        waves, codes, medians, genders = [], [], [], []
        for _ in range(SHARD_VOICES):
            voice = draw(self.random)
            rate = RATES[LEVELS[int(self.random.integers(len(LEVELS)))]]
            said = 0
            while said < SAID:
                _, heard, codes_said = self.sentence(replace(voice, rate=rate))
                wave = tokens.padded(heard)
                frequency = tokens.frequencies(wave)
                if np.count_nonzero(frequency) < 10:
                    continue
                waves.append((normalise_volume(wave) * 32_767).astype(np.int16))
                codes.append(codes_said.astype(np.int16))
                medians.append(np.median(frequency[frequency > 0]))
                genders.append(voice.variant in FEMALE)
                said += 1
        return {
            "samples": np.concatenate(waves),
            "tokens": np.concatenate(codes),
            "frames": np.array([len(c) for c in codes]),
            "frequency": np.array(medians, np.float32),
            "female": np.array(genders),
        }

    def texts(self, mandarin: bool) -> Arrays:
        """A shard for the language model: texts, tokens, speed labels, and the character that each frame says."""
        teacher = MandarinTeacher() if mandarin else NaturalTeacher()
        drawn = MandarinTexts(self.random) if mandarin else self._texts
        texts: list[str] = []
        codes, characters, speeds = [], [], []
        while len(texts) < SHARD_TEXTS:
            speed = int(self.random.integers(len(LEVELS))) if self.random.random() < 0.3 else 2
            read = teacher.read(drawn.draw(), RATES[LEVELS[speed]] / RATES["moderate"])
            if read is None:
                continue
            texts.append(read.text)
            codes.append(read.tokens.astype(np.int16))
            characters.append(read.characters)
            speeds.append(speed)
        return {
            "texts": np.array(texts),
            "tokens": np.concatenate(codes),
            "characters": np.concatenate(characters),
            "frames": np.array([len(c) for c in codes]),
            "speed": np.array(speeds),
        }


def _shard(kind: str, seed: int, path: Path) -> None:
    recorder = Recorder(seed)
    arrays = recorder.voices() if kind == "voices" else recorder.texts(kind == "mandarin")
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.rename(path)


def load(directory: Path, kind: str) -> Arrays:
    """Load all shards of a kind as one."""
    shards = [np.load(path) for path in sorted(directory.glob(f"{kind}-*[0-9].npz"))]
    if not shards:
        raise FileNotFoundError(f"{directory} holds no corpus: run python -m demo.corpus first")
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0].files}


def main(
    directory: Annotated[Path, typer.Option(help="Where the corpus is kept.")] = Path("build/demo/corpus"),
    voices: Annotated[int, typer.Option(help="Voices for the codec.")] = 1000,
    texts: Annotated[int, typer.Option(help="English sentences for the language model.")] = 56_000,
    mandarin: Annotated[int, typer.Option(help="Mandarin ones.")] = 14_000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Record the corpus; shards that exist are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    jobs = [("voices", 1000 + n) for n in range(voices // SHARD_VOICES)]
    jobs += [("texts", 100_000 + n) for n in range(texts // SHARD_TEXTS)]
    jobs += [("mandarin", 200_000 + n) for n in range(mandarin // SHARD_TEXTS)]
    jobs = [(kind, seed) for kind, seed in jobs if not (directory / f"{kind}-{seed}.npz").exists()]
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(_shard, kind, seed, directory / f"{kind}-{seed}.npz") for kind, seed in jobs]
        for future in track(as_completed(futures), "Speaking", total=len(futures)):
            future.result()


if __name__ == "__main__":
    typer.run(main)
