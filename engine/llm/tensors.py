"""Tensors of safetensors files by name, read when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import safetensors
import torch

from engine.errors import CheckpointError

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
"""The names of the embedding and of the output head in a Qwen2's files."""

Read = Callable[[], torch.Tensor]


def open_safetensors(path: Path) -> safetensors.safe_open:
    """Open a file of tensors, a context manager; raises CheckpointError."""
    try:
        return safetensors.safe_open(path, framework="pt")
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
