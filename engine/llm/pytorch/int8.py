"""Linear layers in integers, for CPUs: weights of 8 bits with a scale for each output, inputs rounded row by row.

The products add up in integers, exactly, so what a row gives does not depend on what else is in the batch.
"""

from __future__ import annotations

import warnings

import torch
from torch import nn

STEPS = (
    63  # to either side of zero, of an input: CPUs without VNNI add two products in 16 bits, and more would overflow
)


class Int8Linear(nn.Module):
    """A linear layer, (B, T, in) to (B, T, out), by the integers of FBGEMM."""

    def __init__(self, linear: nn.Linear) -> None:
        """Round the weights of `linear`, in float32 on a CPU."""
        super().__init__()
        scales = linear.weight.abs().amax(dim=1).clamp_min(1e-12) / 127  # (out,)
        zeros = torch.zeros(len(scales), dtype=torch.long)
        with warnings.catch_warnings():
            # Tensors of quantized types are to leave torch; FBGEMM takes its weights in no other way so far.
            warnings.filterwarnings("ignore", ".*quantize_per_channel.*", UserWarning)
            rounded = torch.quantize_per_channel(linear.weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None)
        self._bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply, and return float32."""
        largest = x.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12)  # (B, T, 1)
        y: torch.Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            x / largest, 1 / STEPS, STEPS + 1, self._packed
        )
        return y.mul_(largest) if self._bias is None else torch.addcmul(self._bias, y, largest)


def round_linears(module: nn.Module) -> None:
    """Put an Int8Linear in the place of every linear layer within `module`."""
    torch.backends.quantized.engine = "fbgemm"
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Linear):
            module.set_submodule(name, Int8Linear(layer))
