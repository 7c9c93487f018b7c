"""The language model's file as the weights of `Qwen2`: renamed, fused, and checked shape by shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors
import torch

from engine.errors import CheckpointError
from engine.llm.qwen2 import Qwen2Config


def load_weights(path: Path, config: Qwen2Config, ids: np.ndarray) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Read model.safetensors: the weights of `Qwen2`, projections fused, and the embedding (vocabulary, C).

    The embedding is a view of the mapped file; only the rows that are read cost memory.
    """
    C, D = config.hidden_size, config.head_dim
    H, G, inner = config.num_attention_heads, config.num_key_value_heads, config.intermediate_size
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = set(file.keys())

            def read(name: str, *shape: int) -> torch.Tensor:
                if name not in names:
                    raise CheckpointError(f"{path} has no tensor {name}")
                value: torch.Tensor = file.get_tensor(name)
                if value.shape != shape:
                    raise CheckpointError(f"{path}: {name} has shape {tuple(value.shape)}, not {shape}")
                return value

            embedding = read("model.embed_tokens.weight", config.vocab_size, C)
            if ids.max() >= config.vocab_size:
                raise CheckpointError(
                    f"{path}: the embedding has {config.vocab_size} rows, but the tokenizer has the id {ids.max()}"
                )
            weights = {
                "norm.weight": read("model.norm.weight", C),
                "head.weight": embedding[torch.from_numpy(ids)],
            }
            for n in range(config.num_hidden_layers):
                theirs, ours = f"model.layers.{n}.", f"layers.{n}."
                for part in ("weight", "bias"):
                    tail = (C,) if part == "weight" else ()
                    weights[f"{ours}qkv.{part}"] = torch.cat(
                        [
                            read(f"{theirs}self_attn.{name}_proj.{part}", width * D, *tail)
                            for name, width in (("q", H), ("k", G), ("v", G))
                        ]
                    )
                weights[f"{ours}gate_up.weight"] = torch.cat(
                    [read(f"{theirs}mlp.{name}_proj.weight", inner, C) for name in ("gate", "up")]
                )
                weights[f"{ours}out.weight"] = read(f"{theirs}self_attn.o_proj.weight", C, H * D)
                weights[f"{ours}down.weight"] = read(f"{theirs}mlp.down_proj.weight", C, inner)
                weights[f"{ours}input_norm.weight"] = read(f"{theirs}input_layernorm.weight", C)
                weights[f"{ours}post_norm.weight"] = read(f"{theirs}post_attention_layernorm.weight", C)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return weights, embedding
