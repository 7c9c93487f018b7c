"""A checkpoint's language model as the state of its stage, which then goes on from there, as wide as `demo.model` says.

    python -m demo.widen

`demo.begin` does the same, and the other stages' states as well, which take a corpus.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import load_file
from torch import Tensor

from demo.model import QWEN2, SHARPNESS
from engine.checkpoints.layout import demo_directory

OWN = demo_directory()


def widened(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A language model whose layers have the width of `demo.model`, at least their own. It computes the same.

    What is added has weights like the others', and no effect before training.
    """
    wide = dict(state)
    for name, value in state.items():
        if ".mlp." in name:
            across = 1 if ".down_proj." in name else 0
            added = list(value.shape)
            added[across] = QWEN2["intermediate_size"] - value.shape[across]
            new = value.new_zeros(added) if across else value.std() * torch.randn(added)
            wide[name] = torch.cat([value, new], dim=across)
    return wide


def language_model_state(checkpoint: Path, out: Path) -> None:
    """Write the state of the language model's stage."""
    state = {name: value.float() for name, value in load_file(checkpoint / "LLM" / "model.safetensors").items()}
    state["model.norm.weight"] /= SHARPNESS
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    torch.save({"model": widened(state)}, out / "language_model.pt")


def main(
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint to begin with.")] = OWN,
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
) -> None:
    """Write the state, if there is none."""
    torch.manual_seed(0)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "language_model.pt").exists():
        language_model_state(checkpoint, out)


if __name__ == "__main__":
    typer.run(main)
