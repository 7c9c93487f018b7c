"""Reads the language model's configuration and weights, and checks each tensor's shape."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from engine.checkpoints.language_model import CONFIG, read_json, weight_files
from engine.errors import CheckpointError
from engine.llm.lora import merged
from engine.llm.tensors import EMBEDDING, HEAD, Read, open_safetensors


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
    tie_word_embeddings: bool = False

    @classmethod
    def from_file(cls, path: Path) -> Qwen2Config:
        """Read config.json, as transformers wrote it before version 5 (flat) or since (rope_parameters)."""
        content = read_json(path)
        content |= content.get("rope_parameters") or {}
        _refuse_other_models(path, content)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise CheckpointError(f"{path} is not a Qwen2 configuration: {reason}") from error

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


def _refuse_other_models(path: Path, content: Mapping[str, Any]) -> None:
    """Raise CheckpointError for a model that is not a plain Qwen2."""
    kind = content.get("model_type", "qwen2")
    scaling = content.get("rope_scaling") or content
    rope = scaling.get("rope_type") or scaling.get("type") or "default"
    sliding = content.get("use_sliding_window") or "sliding_attention" in (content.get("layer_types") or ())
    wrong = {
        f"is of a {kind} model; Spark-TTS's language model is a Qwen2": kind != "qwen2",
        "is of quantized weights; save the model in 16 or 32 bits": content.get("quantization_config") is not None,
        f"has rotary embeddings of the type {rope}, but Spark-TTS's are the default ones": rope != "default",
        "has sliding windows, which Spark-TTS's language model has not": sliding,
        f"has the activation {content.get('hidden_act')}, not silu": content.get("hidden_act", "silu") != "silu",
    }
    if reason := next((reason for reason, holds in wrong.items() if holds), None):
        raise CheckpointError(f"{path} {reason}.")


class Qwen2File:
    """Open weights, in one file or in shards, with a LoRA merged into them if there is one.

    Tensors that no LoRA changes are views of the mapped files, so only those that are read cost memory.
    """

    def __init__(self, path: Path, config: Qwen2Config, tensors: Mapping[str, Read]) -> None:
        self.path, self.config, self.tensors = path, config, tensors

    def read(self, name: str, *shape: int) -> torch.Tensor:
        """One tensor; raises CheckpointError if it is missing or has another shape."""
        if name not in self.tensors:
            raise CheckpointError(f"{self.path} has no tensor {name}")
        value = self.tensors[name]()
        if value.shape != shape:
            raise CheckpointError(f"{self.path}: {name} has shape {tuple(value.shape)}, not {shape}")
        if not value.sum(dtype=torch.float64).isfinite():  # quantized, they would be numbers, and noise
            raise CheckpointError(f"{self.path}: {name} has values that are not numbers; download the checkpoint again")
        return value

    def embedding(self) -> torch.Tensor:
        """The embedding of the whole vocabulary, (vocabulary, C)."""
        only_head = EMBEDDING not in self.tensors and HEAD in self.tensors and self.config.tie_word_embeddings
        return self.read(HEAD if only_head else EMBEDDING, self.config.vocab_size, self.config.hidden_size)

    @property
    def separate_head(self) -> bool:
        """Whether the head has weights of its own; else they are the embedding's. Raises CheckpointError.

        As in transformers, a head in the file counts, even if the configuration says that it is tied.
        """
        if HEAD not in self.tensors and not self.config.tie_word_embeddings:
            raise CheckpointError(f"{self.path} has no tensor {HEAD}, and {CONFIG} says that the head is not tied")
        return HEAD in self.tensors and EMBEDDING in self.tensors

    def whole_head(self) -> torch.Tensor:
        """The output head for the whole vocabulary, (vocabulary, C)."""
        if self.separate_head:
            return self.read(HEAD, self.config.vocab_size, self.config.hidden_size)
        return self.embedding()

    def head(self, ids: np.ndarray) -> torch.Tensor:
        """The rows of the head for `ids`, (rows, C)."""
        if ids.max() >= self.config.vocab_size:
            raise CheckpointError(
                f"{self.path}: the embedding has {self.config.vocab_size} rows, "
                f"but the tokenizer has the id {ids.max()}"
            )
        return self.whole_head()[torch.from_numpy(ids)]

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
def open_weights(directory: Path, adapter: Path | None = None) -> Generator[Qwen2File, None, None]:
    """Open the weights in a directory, and merge the LoRA in the directory `adapter`; raises CheckpointError."""
    config = Qwen2Config.from_file(directory / CONFIG)
    tensors: dict[str, Read] = {}
    with ExitStack() as stack:
        paths = weight_files(directory)
        for path in paths:
            file = stack.enter_context(open_safetensors(path))
            tensors |= {name: partial(file.get_tensor, name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if adapter:
            tensors = merged(tensors, adapter, tied=config.tie_word_embeddings)
        yield Qwen2File(paths[0] if len(paths) == 1 else directory, config, tensors)
