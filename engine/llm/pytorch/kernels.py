"""What the decoder layers compute between their matrix products: in torch's own kernels, or in compiled ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from engine.llm.weights import Qwen2Config

logger = logging.getLogger(__name__)

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Kernels:
    """Functions of a pass of N rows.

    `add_norm` maps x (N, C), y (N, C) or None, and a weight (C,) to x + y and its RMS norm.
    `rotate` maps queries, keys and values (N, H + 2 G, D) and rotations (N, 1, D / 2), complex64, to the same with the
    H + G queries and keys rotated: the rotary embedding of Su et al. 2021, with adjacent numbers paired. It may do so
    in place. `swiglu` maps (N, 2 I) to (N, I).
    """

    add_norm: Callable[[torch.Tensor, torch.Tensor | None, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    rotate: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    swiglu: Callable[[torch.Tensor], torch.Tensor]


def plain(config: Qwen2Config) -> Kernels:
    """The kernels that torch has."""
    rotated_heads, eps = config.num_attention_heads + config.num_key_value_heads, config.rms_norm_eps

    def add_norm(x: torch.Tensor, y: torch.Tensor | None, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x if y is None else x + y
        return x, F.rms_norm(x, weight.shape, weight, eps)

    def rotate(qkv: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
        x = qkv[:, :rotated_heads]
        pairs = x.view(*x.shape[:2], -1, 2)
        rotated = torch.view_as_complex(pairs.float()).mul_(rope)  # in float32, `float` returns `pairs` itself
        if x.dtype != torch.float32:
            pairs.copy_(torch.view_as_real(rotated))
        return qkv

    def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up

    return Kernels(add_norm, rotate, swiglu)


def by_pairs(config: Qwen2Config, prepare: Callable[[Function], Function] = lambda function: function) -> Kernels:
    """The same, in a form that torch's compiler makes one kernel each of: without complex numbers.

    `prepare` is applied to each function.
    """
    own = plain(config)
    rotated_heads = config.num_attention_heads + config.num_key_value_heads

    def rotate_pairs(qkv: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
        x = qkv[:, :rotated_heads].float()
        a, b = x.view(*x.shape[:2], -1, 2).unbind(-1)  # (N, H + G, D / 2)
        cos, sin = rope.unbind(-1)
        rotated = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
        return torch.cat((rotated.to(qkv.dtype), qkv[:, rotated_heads:]), dim=1)

    prepared_add_norm, prepared_rotate = prepare(own.add_norm), prepare(rotate_pairs)

    def add_norm(x: torch.Tensor, y: torch.Tensor | None, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if y is None:  # once in a pass
            return own.add_norm(x, y, weight)
        sums: tuple[torch.Tensor, torch.Tensor] = prepared_add_norm(x, y, weight)
        return sums

    def rotate(qkv: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = prepared_rotate(qkv, torch.view_as_real(rope))
        return y

    return Kernels(add_norm, rotate, prepare(own.swiglu))


@torch.inference_mode()
def compiled(config: Qwen2Config, weight: torch.Tensor) -> Kernels:
    """Kernels that Triton makes now, which takes some seconds; torch's own without a C compiler.

    `weight` is that of a norm of the model, on a CUDA device. A call costs more work on the host than torch's own
    kernels do, so they are for recorded steps.
    """
    kernels = by_pairs(config, torch.compile)
    heads = config.num_attention_heads + 2 * config.num_key_value_heads
    try:
        for rows in (1, 2):  # compiled for one row, and then for any number
            x, y = weight.new_zeros(2, rows, config.hidden_size)
            rope = torch.zeros(rows, 1, config.head_dim // 2, dtype=torch.complex64, device=weight.device)
            kernels.add_norm(x, y, weight)
            kernels.rotate(weight.new_zeros(rows, heads, config.head_dim), rope)
            kernels.swiglu(weight.new_zeros(rows, 2 * config.intermediate_size))
    except Exception as error:  # the compiler raises many types
        reason = str(error).strip().partition("\n")[0]
        logger.warning("The language model's kernels cannot be compiled for this GPU: %s", reason)
        return plain(config)
    return kernels
