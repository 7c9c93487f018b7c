"""Reads the language model's configuration and weights, and checks each tensor's shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors
import torch
from pydantic import BaseModel, ValidationError

from engine.errors import CheckpointError


class Qwen2Config(BaseModel, frozen=True):
    """The keys of LLM/config.json that inference needs."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float

    @classmethod
    def from_file(cls, path: Path) -> Qwen2Config:
        """Read config.json, as transformers wrote it before version 5 (flat) or since (rope_parameters)."""
        try:
            content = json.loads(path.read_text())
            return cls.model_validate({**content, **(content.get("rope_parameters") or {})})
        except (ValueError, ValidationError) as error:
            reason = error.errors()[0] if isinstance(error, ValidationError) else None
            text = f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}" if reason else str(error)
            raise CheckpointError(f"{path} is not a Qwen2 configuration: {text}") from error

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


class Qwen2File:
    """An open model.safetensors. Tensors are views of the mapped file, so only those that are read cost memory."""

    def __init__(
        self, path: Path, config: Qwen2Config, names: Collection[str], get_tensor: Callable[[str], torch.Tensor]
    ) -> None:
        self.path, self.config = path, config
        self._names, self._get_tensor = names, get_tensor

    def read(self, name: str, *shape: int) -> torch.Tensor:
        """One tensor; raises CheckpointError if it is missing or has another shape."""
        if name not in self._names:
            raise CheckpointError(f"{self.path} has no tensor {name}")
        value = self._get_tensor(name)
        if value.shape != shape:
            raise CheckpointError(f"{self.path}: {name} has shape {tuple(value.shape)}, not {shape}")
        if not value.sum(dtype=torch.float64).isfinite():  # quantized, they would be numbers, and noise
            raise CheckpointError(f"{self.path}: {name} has values that are not numbers; download the checkpoint again")
        return value

    def embedding(self) -> torch.Tensor:
        """The embedding of the whole vocabulary, (vocabulary, C). The output head has the same weights."""
        return self.read("model.embed_tokens.weight", self.config.vocab_size, self.config.hidden_size)

    def head(self, ids: np.ndarray) -> torch.Tensor:
        """The rows of the head for `ids`, (rows, C)."""
        if ids.max() >= self.config.vocab_size:
            raise CheckpointError(
                f"{self.path}: the embedding has {self.config.vocab_size} rows, "
                f"but the tokenizer has the id {ids.max()}"
            )
        return self.embedding()[torch.from_numpy(ids)]

    def layer(self, index: int) -> dict[str, torch.Tensor]:
        """A layer's tensors, named as in the file without the layer's prefix."""
        config, prefix = self.config, f"model.layers.{index}."
        C, D, inner = config.hidden_size, config.head_dim, config.intermediate_size
        H, G = config.num_attention_heads * D, config.num_key_value_heads * D
        shapes = {
            "input_layernorm.weight": (C,),
            "self_attn.q_proj.weight": (H, C),
            "self_attn.q_proj.bias": (H,),
            "self_attn.k_proj.weight": (G, C),
            "self_attn.k_proj.bias": (G,),
            "self_attn.v_proj.weight": (G, C),
            "self_attn.v_proj.bias": (G,),
            "self_attn.o_proj.weight": (C, H),
            "post_attention_layernorm.weight": (C,),
            "mlp.gate_proj.weight": (inner, C),
            "mlp.up_proj.weight": (inner, C),
            "mlp.down_proj.weight": (C, inner),
        }
        return {name: self.read(prefix + name, *shape) for name, shape in shapes.items()}

    def norm(self) -> torch.Tensor:
        """The weight of the norm before the head, (C,)."""
        return self.read("model.norm.weight", self.config.hidden_size)


@contextmanager
def open_weights(directory: Path) -> Generator[Qwen2File, None, None]:
    """Open `LLM/` of a checkpoint; raises CheckpointError if a file cannot be read."""
    config = Qwen2Config.from_file(directory / "config.json")
    path = directory / "model.safetensors"
    try:
        opened = safetensors.safe_open(path, framework="pt")
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    with opened as file:
        yield Qwen2File(path, config, file.keys(), file.get_tensor)
