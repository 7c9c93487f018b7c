"""Qwen2 in torch for serving: many sequences in each step, each in a slot of a static KV cache."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from engine.llm.weights import Qwen2Config, Qwen2File


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

    def forward(self, x: torch.Tensor, step: Step, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Map (B, T, C) to (B, T, C), and write this step's keys and values to the cache, each (B, G, S, D)."""
        x = x + self.out(self._attend(self.input_norm(x), step, keys, values))
        gate, up = self.gate_up(self.post_norm(x)).chunk(2, dim=-1)
        mixed: torch.Tensor = self.down(F.silu(gate) * up)
        return x + mixed

    def _attend(self, x: torch.Tensor, step: Step, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        B, T, _ = x.shape
        H, G, D = self.heads, self.kv_heads, self.head_dim
        qk, v = self.qkv(x).view(B, T, H + 2 * G, D).transpose(1, 2).split((H + G, G), dim=1)  # (B, _, T, D)
        qk = step.rotate(qk)
        q, k = qk[:, :H], qk[:, H:]
        step.write(keys, k)
        step.write(values, v)
        # The H / G heads that share a key are queries at the same positions, so keys are not copied.
        q = q.reshape(B, G, H // G * T, D)
        S = step.mask.shape[-1]
        y = F.scaled_dot_product_attention(q, keys[:, :, :S], values[:, :, :S], step.mask)
        return y.view(B, H, T, D).transpose(1, 2).reshape(B, T, H * D)


class Step:
    """What all layers of one step share: rotations, the mask, and the indices for writing to the cache.

    `positions` has shape (B, T). All are below `length`, S, the number of cached positions that are attended to.
    `rope` is from `rope_table`. `mask` is (B, 1, H / G * T, S) and is added to the products of queries and keys: 0, or
    minus infinity where the key's position is in the future.
    """

    def __init__(self, positions: torch.Tensor, length: int, rope: torch.Tensor, config: Qwen2Config) -> None:
        B, S = len(positions), length
        device = positions.device
        future = torch.arange(S, device=device) > positions[:, :, None]  # (B, T, S)
        mask = torch.zeros(future.shape, dtype=rope.dtype, device=device).masked_fill_(future, -torch.inf)
        self.mask = mask[:, None].repeat(1, 1, config.num_attention_heads // config.num_key_value_heads, 1)
        self._cos, self._sin = rope[:, positions].unsqueeze(2)  # each (B, 1, T, D)
        sequences = torch.arange(B, device=device)[:, None, None]
        groups = torch.arange(config.num_key_value_heads, device=device)[None, :, None]
        self._indices = (sequences, groups, positions[:, None, :])

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary embedding (Su et al. 2021) of (B, heads, T, D), the halves of D paired, as Qwen2 does."""
        first, second = x.chunk(2, dim=-1)
        return torch.addcmul(x * self._cos, torch.cat((-second, first), dim=-1), self._sin)

    def write(self, cache: torch.Tensor, new: torch.Tensor) -> None:
        """Write `new` (B, G, T, D) to the cache (B, G, S, D) at the step's positions."""
        cache[self._indices] = new


class Qwen2(nn.Module):
    """The decoder stack and the audio head. The text's embeddings stay in the checkpoint's mapped file."""

    def __init__(self, config: Qwen2Config, rows: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.head = nn.Linear(config.hidden_size, rows, bias=False)

    def forward(self, x: torch.Tensor, step: Step, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Map embeddings (B, T, C) to the last position's logits (B, rows); the caches are (layers, B, G, S, D)."""
        for index, layer in enumerate(self.layers):
            x = layer(x, step, keys[index], values[index])
        logits: torch.Tensor = self.head(self.norm(x[:, -1]))
        return logits


def rope_table(config: Qwen2Config, positions: int) -> torch.Tensor:
    """Cosines and sines of the rotary embedding, float32, shape (2, positions, D)."""
    D = config.head_dim
    frequencies = config.rope_theta ** (-torch.arange(0, D, 2, dtype=torch.float32) / D)
    angles = torch.arange(positions, dtype=torch.float32)[:, None] * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return torch.stack((angles.cos(), angles.sin()))


def fused(file: Qwen2File, ids: np.ndarray) -> dict[str, torch.Tensor]:
    """The weights of `Qwen2` by name; projections that share an input are concatenated. Raises CheckpointError."""
    weights = {"norm.weight": file.norm(), "head.weight": file.head(ids)}
    for n in range(file.config.num_hidden_layers):
        layer = file.layer(n)
        parts = {
            "input_norm.weight": layer["input_layernorm.weight"],
            "qkv.weight": torch.cat([layer[f"self_attn.{name}_proj.weight"] for name in "qkv"]),
            "qkv.bias": torch.cat([layer[f"self_attn.{name}_proj.bias"] for name in "qkv"]),
            "out.weight": layer["self_attn.o_proj.weight"],
            "post_norm.weight": layer["post_attention_layernorm.weight"],
            "gate_up.weight": torch.cat([layer[f"mlp.{name}_proj.weight"] for name in ("gate", "up")]),
            "down.weight": layer["mlp.down_proj.weight"],
        }
        weights |= {f"layers.{n}.{name}": value for name, value in parts.items()}
    return weights
