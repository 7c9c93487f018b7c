"""Gathers what training needs of the corpus: `material.xz` for the language model, `voices.npz` for the decoder.

    python -m demo.gather

Both files and the decoder's `spectra-*.npz`, with the states of `demo.begin`, are what a machine with a GPU is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from demo.corpus import Arrays, load
from demo.flat_windows import VOICES, HeardVoices
from demo.material import FILE, Material, Rows
from demo.train_speaker import Voices, heard_voices
from demo.voicing import nearest_step


def gathered(corpus: Path, voices: HeardVoices) -> Material:
    """The material of a corpus, with its voices as the speaker's stage encodes them."""
    texts = load(corpus, "texts")
    english = len(texts["texts"])
    if any(corpus.glob("mandarin-*[0-9].npz")):
        texts = {name: np.concatenate([texts[name], values]) for name, values in load(corpus, "mandarin").items()}
    samples: Arrays = load(corpus, "samples")
    return Material(
        Rows.of_texts(texts["texts"].tolist()),
        Rows.of(texts["tokens"].astype(np.int16), texts["frames"].astype(np.int64)),
        Rows.of(texts["characters"].astype(np.int16), texts["frames"].astype(np.int64)),
        texts["speed"].astype(np.uint8),
        np.arange(len(texts["texts"])) >= english,
        Rows.of_texts(samples["texts"].tolist()),
        Rows.of(samples["tokens"].astype(np.int16), samples["frames"].astype(np.int64)),
        samples["voices"].astype(np.uint8),
        voices.said.numpy(),
        nearest_step(voices.read).astype(np.uint16),
        voices.female,
    )


def main(
    corpus: Annotated[Path, typer.Option(help="What demo.corpus and demo.samples made.")] = Path("build/demo/corpus"),
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
) -> None:
    """Write the material and the voices."""
    voices = heard_voices(out, Voices(corpus))
    voices.save(out / VOICES)
    material = gathered(corpus, voices)
    material.save(out / FILE)
    size = (out / FILE).stat().st_size / 1e6
    typer.echo(f"{len(material.texts)} texts, {len(material.transcripts)} samples: {size:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
