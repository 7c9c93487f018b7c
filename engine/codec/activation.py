"""The wave generator's activation, and the residual sums before it.

A second of audio has 29 million activations, and memory access takes most of the time. So the operations of an
activation, with the sum before it, are one compiled loop where `engine.codec.kernels` has been built, and otherwise
run in blocks that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class FusedActivation:
    """Compiled activations for one CPU: `snake(x, alpha)` and `add_snake(x, term, alpha)`, with x (frames, C).

    `add_snake` adds `term` to `x` in place, before the activation. Results, the `x` of `snake` and `term` have the
    type `dtype`; the `x` of `add_snake` is float32.
    """

    dtype: torch.dtype
    snake: Callable[[Tensor, Tensor], Tensor]
    add_snake: Callable[[Tensor, Tensor, Tensor], Tensor]


class Snake(nn.Module):
    """x + sin^2(alpha x) / alpha: a periodic activation, for periodic signals such as speech."""

    BLOCK = 2**17  # values

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(1, channels, 1))
        self.fused: FusedActivation | None = None

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, T, C) to the same, computed in the precision of alpha and rounded to `dtype`."""
        alpha = self.alpha.flatten()  # (C,)
        if self.fused and x.dtype == dtype == self.fused.dtype:
            activated: Tensor = self.fused.snake(x.reshape(-1, len(alpha)), alpha).view(x.shape)
            return activated
        scale = 1 / (alpha + 1e-9)
        out = torch.empty_like(x, dtype=dtype)
        frames = max(1, self.BLOCK // (len(x) * len(alpha))) if x.is_cpu else x.shape[1]
        for block, result in zip(torch.split(x, frames, dim=1), torch.split(out, frames, dim=1), strict=True):
            torch.addcmul(block, (block * alpha).sin_().square_(), scale, out=result)
        return out

    def add(self, x: Tensor, term: Tensor, dtype: torch.dtype) -> Tensor:
        """Add `term` to `x` (B, T, C) in place, and return the activation of the sum, as `forward` does."""
        alpha = self.alpha.flatten()
        if self.fused and term.dtype == dtype == self.fused.dtype and x.is_contiguous():
            rows = (-1, len(alpha))
            activated: Tensor = self.fused.add_snake(x.view(rows), term.reshape(rows), alpha).view(x.shape)
        else:
            activated = self(x.add_(term), dtype)
        return activated


class Residual:
    """A sum of terms in float32, of which the last one is added by the activation that needs it."""

    def __init__(self, first: Tensor) -> None:
        """`first` has the shape (B, T, C); a float32 tensor is changed in place."""
        self._first: Tensor | None = first
        self._sum = first.float()
        self._term: Tensor | None = None

    def activate(self, snake: Snake, dtype: torch.dtype) -> Tensor:
        """The activation of the sum so far."""
        if self._term is None:
            activated: Tensor = snake(self._sum if self._first is None else self._first, dtype)
            return activated
        term, self._term, self._first = self._term, None, None
        return snake.add(self._sum, term, dtype)

    def add(self, term: Tensor) -> None:
        """Add a term; between two terms there must be an activation."""
        self._term = term
