"""Causal attention of many whole prompts in one call, on CUDA."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch

from engine.llm.weights import Qwen2Config

logger = logging.getLogger(__name__)


class PackedAttention(Protocol):
    """Causal attention within prompts that follow one another, the keys of each shared by H / G heads of queries."""

    def __call__(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bounds: torch.Tensor, longest: int
    ) -> torch.Tensor:
        """Map queries (N, H, D), keys and values (N, G, D) to (N, H, D).

        `bounds` (n + 1,), int32, has where each of the n prompts begins, and N. `longest` is the longest one's length.
        """
        ...


def packed_attention(config: Qwen2Config, device: torch.device, dtype: torch.dtype) -> PackedAttention | None:
    """FlashAttention for packed prompts; None where there is none: on CPUs, in float32, on GPUs before Ampere."""
    if device.type != "cuda" or dtype == torch.float32:
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn

        attend: Callable[..., Any] = partial(varlen_attn, window_size=(-1, 0))
        if "enable_gqa" in inspect.signature(varlen_attn).parameters:  # torch 2.11 need not be told
            attend = partial(attend, enable_gqa=True)

        def packed(
            q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bounds: torch.Tensor, longest: int
        ) -> torch.Tensor:
            z: torch.Tensor = attend(q, k, v, bounds, bounds, longest, longest)
            return z

        both = config.num_attention_heads, config.num_key_value_heads
        q, kv = (torch.zeros(3, heads, config.head_dim, dtype=dtype, device=device) for heads in both)
        packed(q, kv, kv, torch.tensor([0, 1, 3], dtype=torch.int32, device=device), 2)
    except (ImportError, TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        logger.warning("Prompts are prefilled one by one: FlashAttention cannot compute them here: %s", reason)
        return None
    return packed
