"""Adds Mandarin's sounds to the states of a training that knew English alone. Both languages are then trained on.

    python -m demo.grow --english build/english

A new sound begins as the English one that is most like it, with a difference at random: so training begins with what
is understood, and only has to learn how the sounds differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from demo.language_model import config
from demo.model import CODEC, TEXT_TOKENS, names
from demo.reading import SLOTS
from demo.tokens import CODES, MANDARIN, PHASES, PHONEMES, STATES, index
from engine.checkpoints.synthetic import token_names

LIKE = (
    *("b", "p", "d", "t", "g", "k", "h", "dZ", "tS", "S", "dZ", "tS", "S", "r", "z", "s", "j", "A:", "aI", "aU", "V"),
    *("eI", "@", "i:", "E", "E", "oU", "U", "u:", "O:", "O:", "u:", "3", "I"),
)
"""The English sounds that those of MANDARIN are most like, in their order."""
KNOWN = len(PHONEMES) - len(MANDARIN)


def grown(rows: Tensor) -> Tensor:
    """A table with a row, or a matrix, for each English sound (KNOWN, ..., dim) with those of Mandarin after them."""
    like = rows[[index(name) for name in LIKE]]
    difference = torch.randn(len(like), *[1] * (rows.ndim - 2), rows.shape[-1]) * rows.std()
    return torch.cat([rows, 0.8 * like + 0.6 * difference])


def grown_embedding(rows: Tensor) -> Tensor:
    """The language model's embedding with rows for the new tokens: they move those that come after them."""
    old = token_names(TEXT_TOKENS, int(np.prod(CODEC["speaker_encoder"]["fsq_levels"])), KNOWN * STATES * PHASES)
    first = old.index("<|bicodec_semantic_0|>")
    end = first + KNOWN * STATES * PHASES
    semantic = grown(rows[first:end].view(KNOWN, STATES * PHASES, -1)).reshape(CODES, -1)
    found = torch.cat([rows[:first], semantic, rows[end : len(old)]])
    assert len(found) == len(names())
    return torch.cat([found, rows.new_zeros(config().vocab_size - len(found), rows.shape[1])])


def main(
    english: Annotated[Path, typer.Option(help="The states of the training in English.")],
    out: Annotated[Path, typer.Option(help="Where the grown ones go.")] = Path("build/demo"),
) -> None:
    """Write the grown states of the decoder and of the language model; those that exist are kept."""
    torch.manual_seed(0)
    if not (out / "codec.pt").exists():
        speaking = torch.load(english / "codec.pt", weights_only=True)["speaking"]
        speaking["codebook.parts.0.weight"] = grown(speaking["codebook.parts.0.weight"])
        torch.save({"speaking": speaking}, out / "codec.pt")
    if not (out / "language_model.pt").exists():
        state = torch.load(english / "language_model.pt", weights_only=True)
        model, reading = state["model"], state["reading"]
        model["model.embed_tokens.weight"] = model["lm_head.weight"] = grown_embedding(
            model["model.embed_tokens.weight"]
        )
        for name, value in reading.items():  # of each slot the sounds, then the end
            sounds = value.reshape(SLOTS, KNOWN + 1, -1).transpose(0, 1)
            added = torch.cat([grown(sounds[:KNOWN]), sounds[KNOWN:]])
            reading[name] = added.transpose(0, 1).reshape(-1, *value.shape[1:])
        torch.save({"model": model, "reading": reading}, out / "language_model.pt")


if __name__ == "__main__":
    typer.run(main)
