"""Perceiver resampler: maps any number of frames to a fixed number of vectors by cross-attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 8
HEAD_DIM = 64
LAYERS = 2


class LatentAttention(nn.Module):
    """The latents attend to themselves and to the context."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = HEADS * HEAD_DIM
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, latents: Tensor, context: Tensor) -> Tensor:
        """Latents (B, N, C) and context (B, T, C) to (B, N, C)."""
        seen = torch.cat([latents, context], dim=1)  # (B, N + T, C)
        keys, values = self.to_kv(seen).chunk(2, dim=-1)
        heads = (x.unflatten(-1, (HEADS, HEAD_DIM)).transpose(1, 2) for x in (self.to_q(latents), keys, values))
        attended = F.scaled_dot_product_attention(*heads)  # (B, HEADS, N, HEAD_DIM)
        out: Tensor = self.to_out(attended.transpose(1, 2).flatten(2))
        return out


class GEGLU(nn.Module):
    """The first half of the channels, gated by the second."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., 2 C) to (..., C)."""
        value, gate = x.chunk(2, dim=-1)
        return value * F.gelu(gate)


class RMSNorm(nn.Module):
    """Normalises vectors to the length sqrt(C), then multiplies by a weight per channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same."""
        return F.normalize(x, dim=-1) * math.sqrt(x.shape[-1]) * self.gamma


class PerceiverLayer(nn.Module):
    """Attention, then a feed-forward, each with a residual and without a norm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = int(dim * 4 * 2 / 3)
        self.attention = LatentAttention(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 2 * inner), GEGLU(), nn.Linear(inner, dim))

    def forward(self, latents: Tensor, context: Tensor) -> Tensor:
        """Latents (B, N, C) and context (B, T, C) to (B, N, C)."""
        x = latents + self.attention(latents, context)
        out: Tensor = x + self.feed_forward(x)
        return out


class PerceiverResampler(nn.Module):
    """Learned latents that attend to the context."""

    def __init__(self, context_dim: int, dim: int, latents: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(latents, dim))
        self.proj_context = nn.Linear(context_dim, dim)
        self.layers = nn.ModuleList(PerceiverLayer(dim) for _ in range(LAYERS))
        self.norm = RMSNorm(dim)

    def forward(self, context: Tensor) -> Tensor:
        """(B, T, context_dim) to (B, latents, dim)."""
        context = self.proj_context(context)
        x = self.latents.expand(len(context), -1, -1)
        for layer in self.layers:
            x = layer(x, context)
        out: Tensor = self.norm(x)
        return out
