"""Linear layers for CPUs: weights in oneDNN's own order, and weights of 8 or 4 bits.

All map (N, in) to (N, out). The result for a row does not depend on the other rows: integer sums are exact, and
oneDNN's kernels in float32 and bfloat16 were found to add in the same order for any number of rows above one.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from engine.errors import EngineError

logger = logging.getLogger(__name__)

TorchPrecision = Literal["float32", "bfloat16", "int8", "int4"]
STEPS = 64  # of an input, to either side of zero: 2 * 128 * 127 fits the 16-bit sums of CPUs without VNNI
GROUP = 32  # inputs that share a scale and an offset at 4 bits
ROWS = 16  # torch's 4-bit kernel takes a multiple of this number of outputs
WIDTHS = (16, 32, 64, 128)  # rows at which the two kernels for 8 bits are compared


class PackedLinear(nn.Module):
    """A linear layer with weights in oneDNN's own order, which plain `F.linear` has to make in every call."""

    def __init__(self, linear: nn.Linear) -> None:
        """Pack the weights of `linear`, float32 or bfloat16. Raises RuntimeError where oneDNN cannot compute them."""
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), ROWS)
        self._bias = linear.bias
        self(linear.weight.new_zeros(1, linear.in_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in) to (N, out), in the precision of the weights."""
        if len(x) == 1:  # for a single row oneDNN may use a kernel that adds in another order, and is no faster
            return self.forward(x.expand(2, -1).contiguous())[:1]
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return y


class Int8Linear(nn.Module):
    """A linear layer computed in integers: weights with a scale for each output, inputs rounded row by row.

    FBGEMM and oneDNN give the same bits, so each can be used where it is the faster one.
    """

    def __init__(self, linear: nn.Linear, onednn_from: int | None) -> None:
        """Round the weights of `linear`, float32. From `onednn_from` rows on oneDNN computes, if that is not None."""
        super().__init__()
        scales = linear.weight.abs().amax(dim=1).clamp_min(1e-12) / 127  # (out,)
        zeros = torch.zeros(len(scales), dtype=torch.long)
        with warnings.catch_warnings():
            # torch warns that it will remove quantized tensors, but FBGEMM has no other interface for weights yet.
            warnings.filterwarnings("ignore", ".*quantize_per_channel.*", UserWarning)
            rounded = torch.quantize_per_channel(linear.weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None)
        self._bias = linear.bias
        self._onednn_from = onednn_from
        if onednn_from is not None:
            self._onednn = torch.ops.onednn.qlinear_prepack(rounded.int_repr(), [WIDTHS[-1], linear.in_features])
            self._scales, self._zeros = (scales / STEPS).float(), torch.zeros(len(scales), dtype=torch.int32)
            self._one, self._zero = torch.tensor(1.0), torch.tensor(STEPS, dtype=torch.int32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in) to (N, out), float32."""
        largest = x.abs().amax(dim=-1, keepdim=True).clamp_min_(1e-12)  # (N, 1)
        y = self.multiply(x / largest, onednn=self._onednn_from is not None and len(x) >= self._onednn_from)
        return y.mul_(largest) if self._bias is None else torch.addcmul(self._bias, y, largest)

    def multiply(self, x: torch.Tensor, *, onednn: bool) -> torch.Tensor:
        """Multiply inputs (N, in) in [-1, 1] by the weights."""
        y: torch.Tensor
        if onednn:
            steps = torch.add(STEPS, x, alpha=STEPS).round_().to(torch.uint8)
            y = torch.ops.onednn.qlinear_pointwise(
                *(steps, self._one, self._zero, self._onednn, self._scales, self._zeros),
                *(None, 1.0, 0, torch.float32, "none", [], ""),
            )
        else:
            y = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(x, 1 / STEPS, STEPS, self._packed)
        return y


class Int4Linear(nn.Module):
    """A linear layer with weights of 4 bits, a scale and an offset for each 32 of them. Products are in bfloat16."""

    def __init__(self, linear: nn.Linear) -> None:
        """Round the weights of `linear`, float32. Raises RuntimeError if their number of inputs is not divisible."""
        super().__init__()
        self._outputs = linear.out_features
        weight = F.pad(linear.weight.detach(), (0, 0, 0, -linear.out_features % ROWS))
        groups = weight.view(len(weight), -1, GROUP)  # (out, in / 32, 32)
        low, high = groups.aminmax(dim=2, keepdim=True)
        scale = (high - low).clamp_min(1e-12) / 15
        rounded = ((groups - low) / scale).round().to(torch.int32).flatten(1)
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(rounded, 2)
        # The kernel computes (4 bits - 8) * scale + offset.
        constants = torch.cat((scale, low + 8 * scale), dim=2).transpose(0, 1)  # (in / 32, out, 2)
        self._constants = constants.to(torch.bfloat16).contiguous()
        self._bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in) to (N, out), float32."""
        y: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
            x.to(torch.bfloat16), self._packed, GROUP, self._constants
        )[:, : self._outputs]
        return y.float() if self._bias is None else y + self._bias


def prepare(module: nn.Module, precision: TorchPrecision) -> None:
    """Replace the linear layers within `module`, which is on a CPU, by the fastest ones of this precision.

    In float32 and bfloat16 a processor that oneDNN does not support keeps the plain layers. Raises EngineError if
    torch has no kernels of 8 or 4 bits for this processor.
    """
    linears = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    try:
        make = _maker(precision, max((layer for _, layer in linears), key=lambda layer: layer.weight.numel()))
        for name, layer in linears:
            module.set_submodule(name, make(layer))
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        if precision in ("int8", "int4"):
            raise EngineError(f"torch cannot compute {precision} here: {reason}. Choose another precision.") from error
        logger.info("The weights of the language model stay in torch's own order: %s", reason)


def _maker(precision: TorchPrecision, sample: nn.Linear) -> Callable[[nn.Linear], nn.Module]:
    match precision:
        case "float32" | "bfloat16":
            PackedLinear(sample)
            return PackedLinear
        case "int8":
            torch.backends.quantized.engine = "fbgemm"
            threshold = faster_from(sample)
            return lambda linear: Int8Linear(linear, threshold)
        case "int4":
            return Int4Linear


@torch.inference_mode()
def faster_from(sample: nn.Linear, repeats: int = 5) -> int | None:
    """The number of rows from which oneDNN multiplies 8-bit weights faster than FBGEMM; None if it does not.

    Measured on one layer, which takes about 50 ms at full size. oneDNN's weights are held beside FBGEMM's, so it must
    gain a tenth.
    """
    try:
        layer = Int8Linear(sample, 1)
        layer.multiply(torch.zeros(1, sample.in_features), onednn=True)
    except (RuntimeError, NotImplementedError, AttributeError):  # this oneDNN has no such kernel
        return None
    found = None
    for rows in reversed(WIDTHS):
        x = torch.rand(rows, sample.in_features)
        seconds = {True: float("inf"), False: float("inf")}
        for _ in range(repeats):
            for onednn in seconds:
                begin = time.perf_counter()
                layer.multiply(x, onednn=onednn)
                seconds[onednn] = min(seconds[onednn], time.perf_counter() - begin)
        if seconds[True] > 0.9 * seconds[False]:
            break
        found = rows
    logger.info("oneDNN multiplies 8-bit weights from %s rows on, FBGEMM below.", found)
    return found
