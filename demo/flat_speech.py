"""Speech for the decoder's training: the natural teachers' sentences as spectra, aligned with tokens.

    python -m demo.flat_speech
    python -m demo.flat_speech --language zh --sentences 1000

`demo.voicing` speaks them when training begins, in every pitch.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import typer
from rich.progress import track

from demo.mandarin import MandarinTeacher
from demo.mandarin_texts import MandarinTexts
from demo.natural import NaturalTeacher, Reading
from demo.spectra import Kept
from demo.texts import Texts

SHARD = 50  # sentences

FlatLanguage = Literal["en", "zh"]


def shard(seed: int, language: FlatLanguage = "en") -> Kept:
    """Sentences with their spectra."""
    torch.set_num_threads(1)
    random = np.random.default_rng(seed)
    texts: Texts | MandarinTexts = Texts(random) if language == "en" else MandarinTexts(random)
    teacher = NaturalTeacher() if language == "en" else MandarinTeacher()
    found: list[Reading] = []
    while len(found) < SHARD:
        read = teacher.read(texts.draw(), spectra=True)
        if read is not None:
            found.append(read)
    return Kept.of(found)


def main(
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
    sentences: Annotated[int, typer.Option(help="How many.")] = 4000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
) -> None:
    """Have a teacher say sentences, and keep their spectra as `spectra-<language>.npz`."""
    chosen: FlatLanguage = "zh" if language == "zh" else "en"
    out.mkdir(parents=True, exist_ok=True)
    shards = range(-(-sentences // SHARD))
    with ProcessPoolExecutor(workers) as pool:
        made = pool.map(partial(shard, language=chosen), shards)
        parts = list(track(made, "Speaking", total=len(shards)))
    Kept.joined(parts).save(out / f"spectra-{chosen}.npz")


if __name__ == "__main__":
    typer.run(main)
