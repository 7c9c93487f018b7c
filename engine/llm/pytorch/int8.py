"""Linear layers in integers, for CPUs: 8-bit weights with a scale for each output, and inputs rounded row by row.

The products are summed as integers, exactly, so the result for a row does not depend on the rest of the batch.
"""

from __future__ import annotations

import warnings

import torch
from torch import nn

STEPS = 63  # of an input, to either side of zero; more would overflow the 16-bit sums of CPUs without VNNI


class Int8Linear(nn.Module):
    """A linear layer, (B, T, in) to (B, T, out), computed in integers by FBGEMM."""

    def __init__(self, linear: nn.Linear) -> None:
        """Round the weights of `linear`, which must be float32 on a CPU."""
        super().__init__()
        scales = linear.weight.abs().amax(dim=1).clamp_min(1e-12) / 127  # (out,)
        zeros = torch.zeros(len(scales), dtype=torch.long)
        with warnings.catch_warnings():
            # torch warns that it will remove quantized tensors, but FBGEMM has no other interface for weights yet.
            warnings.filterwarnings("ignore", ".*quantize_per_channel.*", UserWarning)
            rounded = torch.quantize_per_channel(linear.weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None)
        self._bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, in) to (B, T, out), float32."""
        largest = x.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12)  # (B, T, 1)
        y: torch.Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            x / largest, 1 / STEPS, STEPS + 1, self._packed
        )
        return y.mul_(largest) if self._bias is None else torch.addcmul(self._bias, y, largest)


def round_linears(module: nn.Module) -> None:
    """Replace every linear layer within `module` by an Int8Linear."""
    torch.backends.quantized.engine = "fbgemm"
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Linear):
            module.set_submodule(name, Int8Linear(layer))
