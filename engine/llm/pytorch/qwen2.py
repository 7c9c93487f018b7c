"""Qwen2 in torch for serving: the rows of many sequences in each pass, each in a slot of a static KV cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from engine.llm.pytorch.attention import PackedAttention
from engine.llm.pytorch.kernels import Kernels
from engine.llm.weights import Qwen2Config, Qwen2File


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of a pass whose attention is computed in one call: T adjacent positions of each of n adjacent slots.

    `mask` is (n, 1, T * H / G, S) and is added to the products of queries and keys: 0, or minus infinity where the
    key's position is in the future. S is the number of cached positions that are attended to.
    """

    rows: slice
    slots: slice
    mask: torch.Tensor

    @property
    def length(self) -> int:
        """S."""
        return self.mask.shape[-1]


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows of a pass that are whole prompts, one after the other. `bounds` and `longest` are for `attend`."""

    rows: slice
    bounds: torch.Tensor
    longest: int
    attend: PackedAttention


class Layer(nn.Module):
    """A decoder layer: attention over the KV cache, then SwiGLU, each after an RMS norm."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        C, width = config.hidden_size, config.head_dim * (self.heads + 2 * self.kv_heads)
        self.input_norm = nn.RMSNorm(C, config.rms_norm_eps)
        self.qkv = nn.Linear(C, width)
        self.out = nn.Linear(self.heads * self.head_dim, C, bias=False)
        self.post_norm = nn.RMSNorm(C, config.rms_norm_eps)
        self.gate_up = nn.Linear(C, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, C, bias=False)

    def forward(
        self, x: torch.Tensor, y: torch.Tensor | None, step: Step, cache: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Map x (N, C), and what the layer before adds to it, to the same of this layer.

        Writes this pass's keys and values to the cache, (slots, 2 G, context, D).
        """
        x, normed = step.kernels.add_norm(x, y, self.input_norm.weight)
        y = self.out(self._attend(self.qkv(normed), step, cache))
        x, normed = step.kernels.add_norm(x, y, self.post_norm.weight)
        return x, self.down(step.kernels.swiglu(self.gate_up(normed)))

    def _attend(self, qkv: torch.Tensor, step: Step, cache: torch.Tensor) -> torch.Tensor:
        """Attend with the queries in `qkv` (N, (H + 2 G) D); return (N, H D), the heads ordered as in `fused`."""
        H, G, D = self.heads, self.kv_heads, self.head_dim
        N, R = len(qkv), H // G
        qkv = step.kernels.rotate(qkv.view(N, H + 2 * G, D), step.rope)
        cache[step.slots, :, step.positions] = qkv[:, H:]
        y = []
        for segment in step.segments:
            if isinstance(segment, Packed):
                own = qkv[segment.rows]
                z = segment.attend(own[:, :H], own[:, H : H + G], own[:, H + G :], segment.bounds, segment.longest)
                y.append(z.view(-1, G, R, D).transpose(1, 2).reshape(-1, R * G * D))
                continue
            kv = cache[segment.slots, :, : segment.length]
            # The R heads that share a key are queries at the same positions, so keys are not copied.
            n = len(kv)
            q = qkv[segment.rows, :H].view(n, -1, G, R, D).transpose(1, 2).flatten(2, 3)  # (n, G, T R, D)
            z = F.scaled_dot_product_attention(q, kv[:, :G], kv[:, G:], segment.mask)
            y.append(z.transpose(1, 2).reshape(-1, R * G * D))  # (n T, R G D)
        return y[0] if len(y) == 1 else torch.cat(y)


class Step:
    """What all layers of one pass share: kernels, rotations, masks, and the places in the cache that are written.

    `slots` and `positions` have shape (N,). The segments have the rows in order. `rope` is from `rope_table`.
    """

    def __init__(
        self,
        slots: torch.Tensor,
        positions: torch.Tensor,
        segments: Sequence[Segment | Packed],
        rope: torch.Tensor,
        kernels: Kernels,
    ) -> None:
        self.slots, self.positions, self.segments, self.kernels = slots, positions, segments, kernels
        self.rope = rope[positions][:, None]  # (N, 1, D / 2)


def segment(
    rows: slice, slots: slice, positions: torch.Tensor, length: int, config: Qwen2Config, dtype: torch.dtype
) -> Segment:
    """A Segment of T positions in each of n slots, `positions` (n, T), all below `length`."""
    n, T = positions.shape
    R = config.num_attention_heads // config.num_key_value_heads
    future = torch.arange(length, device=positions.device) > positions[:, :, None]  # (n, T, S)
    mask = torch.zeros(future.shape, dtype=dtype, device=positions.device).masked_fill_(future, -torch.inf)
    return Segment(rows, slots, mask[:, None, :, None].expand(n, 1, T, R, length).reshape(n, 1, T * R, length))


class Qwen2(nn.Module):
    """The decoder stack and the audio head. The text's embeddings stay in the checkpoint's mapped file."""

    def __init__(self, config: Qwen2Config, rows: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.head = nn.Linear(config.hidden_size, rows, bias=False)

    def forward(self, x: torch.Tensor, step: Step, cache: torch.Tensor, last: slice | torch.Tensor) -> torch.Tensor:
        """Map embeddings (N, C) to the logits of the rows `last`; the cache is (layers, slots, 2 G, context, D)."""
        y = None
        for layer, own in zip(self.layers, cache, strict=True):
            x, y = layer(x, y, step, own)
        _, normed = step.kernels.add_norm(x[last], None if y is None else y[last], self.norm.weight)
        logits: torch.Tensor = self.head(normed)
        return logits


def rope_table(config: Qwen2Config, positions: int) -> torch.Tensor:
    """The rotations of the rotary embedding as complex numbers, complex64, shape (positions, D / 2)."""
    frequencies = config.rope_theta ** (-torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim)
    angles = torch.arange(positions, dtype=torch.float32)[:, None] * frequencies
    return torch.polar(torch.ones_like(angles), angles)


def fused(file: Qwen2File, ids: np.ndarray) -> dict[str, torch.Tensor]:
    """The weights of `Qwen2` by name. Raises CheckpointError.

    Projections that share an input are concatenated. The rows of queries and keys are reordered from Qwen2's pairs,
    n and n + D / 2, to adjacent ones. The inputs of `out` are reordered from (G, R, D) to (R, G, D), R = H / G, the
    order in which attention returns its results.
    """
    config = file.config
    D, G, H = config.head_dim, config.num_key_value_heads, config.num_attention_heads

    def paired(value: torch.Tensor) -> torch.Tensor:
        return value.view(-1, 2, D // 2, *value.shape[1:]).transpose(1, 2).reshape(value.shape)

    weights = {"norm.weight": file.norm(), "head.weight": file.head(ids)}
    for n in range(config.num_hidden_layers):
        layer = file.layer(n)
        q, k, v = ([layer[f"self_attn.{name}_proj.{kind}"] for kind in ("weight", "bias")] for name in "qkv")
        out = layer["self_attn.o_proj.weight"].view(-1, G, H // G, D).transpose(1, 2).flatten(1)
        parts = {
            "input_norm.weight": layer["input_layernorm.weight"],
            "qkv.weight": torch.cat((paired(q[0]), paired(k[0]), v[0])),
            "qkv.bias": torch.cat((paired(q[1]), paired(k[1]), v[1])),
            "out.weight": out,
            "post_norm.weight": layer["post_attention_layernorm.weight"],
            "gate_up.weight": torch.cat([layer[f"mlp.{name}_proj.weight"] for name in ("gate", "up")]),
            "down.weight": layer["mlp.down_proj.weight"],
        }
        weights |= {f"layers.{n}.{name}": value for name, value in parts.items()}
    return weights
