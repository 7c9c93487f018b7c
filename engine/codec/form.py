"""How the decoder is computed: what `engine.tuning` chooses by measurement."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.codec.activation import FusedActivation


@dataclass(frozen=True, slots=True)
class CodecForm:
    """The precision of the large matrix products, and the kernels.

    `plain` has the names of the convolutions whose weights are not packed, see `layers.prepare_weight`. `fused` has
    compiled activations for this precision, if there are any.
    """

    dtype: torch.dtype = torch.float32
    plain: frozenset[str] = frozenset()
    fused: FusedActivation | None = None


FLOAT32 = CodecForm()
