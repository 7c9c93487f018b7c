"""Layers that encoder and decoder share: the Vocos backbone and its blocks, and zeros over padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.codec.config import BackboneConfig

EPS = 1e-6
STAGE_LAYERS = 2  # ConvNeXt blocks in each stage beside the main backbone


Lengths = Sequence[int] | None
"""How many frames of each item are its own, in a batch that is padded to the longest; None if no item is padded."""


def lengths_if_padded(lengths: Sequence[int]) -> Lengths:
    """The lengths, if there is padding."""
    return None if min(lengths) == max(lengths) else lengths


def zero_padding(x: Tensor, lengths: Lengths) -> Tensor:
    """Put zeros beyond each item's end in `x` (B, T, C), in place: what is there never matters otherwise.

    It goes before every layer that looks at neighbouring frames: an item's last frames then see what they would
    see at the end of a tensor, where convolutions pad with zeros, and a batch sounds like its items one by one.
    """
    if lengths is not None:
        for item, length in zip(x, lengths, strict=True):
            item[length:] = 0
    return x


class Convolution(nn.Module):
    """A convolution over time, (B, T, C) to (B, T, out), that sees zeros beyond both ends.

    It is loaded as the checkpoint has it, and must be prepared before it is used.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int = 1,
        groups: int = 1,
        *,
        ordered: bool = True,
    ) -> None:
        """`ordered` says whether oneDNN orders the weights in its own way, see `prepack_weight`."""
        super().__init__()
        self.ordered = ordered
        self.dilation = dilation
        self.groups = groups
        self.padding = dilation * (kernel_size - 1) // 2
        self.weight = nn.Parameter(torch.empty(out_channels, channels // groups, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def prepare(self, dtype: torch.dtype) -> None:
        """Make the loaded weights those that `convolve` takes; once."""
        self.to(dtype)
        self.weight = prepack_weight(self.weight, self.groups, ordered=self.ordered)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, in the precision of the weights."""
        return convolve(x, self.weight, self.bias, self.padding, self.dilation, self.groups)


def prepack_weight(weight: Tensor, groups: int = 1, *, ordered: bool = True) -> nn.Parameter:
    """Make of a convolution's weight (out, C / groups, kernel) what `convolve` computes with fastest.

    On a CPU, oneDNN orders the weights in its own way. Each call of torch's convolution would do that again, which
    costs a window of half a second a fifth of its time; so this and `convolve` use what torch.compile puts in
    its place. A kernel of one frame is a matrix.
    """
    if weight.shape[2] == 1:
        return nn.Parameter(weight[:, :, 0].contiguous(), requires_grad=False)
    weight = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    if ordered and weight.is_cpu and _orders(weight.dtype):
        weight = torch.ops.mkldnn._reorder_convolution_weight(weight, groups=groups)
    return nn.Parameter(weight, requires_grad=False)


def _orders(dtype: torch.dtype) -> bool:
    """Whether oneDNN computes in this precision on this machine's CPU."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def convolve(x: Tensor, weight: Tensor, bias: Tensor, padding: int, dilation: int = 1, groups: int = 1) -> Tensor:
    """Convolve (B, T, C) with a prepared weight, in its precision.

    It is done in two dimensions, of height 1: only there has torch kernels for channels-last memory, which is what
    (B, T, C) is.
    """
    if weight.ndim == 2:
        return F.linear(x.to(weight.dtype), weight, bias)
    image = x.to(weight.dtype).transpose(1, 2).unsqueeze(2)  # (B, C, 1, T)
    geometry = [0, padding], [1, 1], [1, dilation], groups
    if weight.is_mkldnn:
        image = torch.ops.mkldnn._convolution_pointwise(image, weight, bias, *geometry, "none", [], "")
    else:
        paddings, strides, dilations, _ = geometry
        image = F.conv2d(image, weight, bias, strides, paddings, dilations, groups)
    return image.squeeze(2).transpose(1, 2)


class AdaLayerNorm(nn.Module):
    """Layer norm whose scale and shift follow from a condition, such as a voice."""

    def __init__(self, dim: int, condition_dim: int) -> None:
        super().__init__()
        self.scale = nn.Linear(condition_dim, dim)
        self.shift = nn.Linear(condition_dim, dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise `x` (B, T, C) under `condition` (B, D)."""
        scale: Tensor = self.scale(condition)[:, None]  # (B, 1, C)
        shift: Tensor = self.shift(condition)[:, None]
        return F.layer_norm(x, x.shape[-1:], eps=EPS) * scale + shift


def make_norm(dim: int, condition_dim: int | None) -> nn.Module:
    """Build a layer norm, adaptive if there is a condition."""
    return nn.LayerNorm(dim, eps=EPS) if condition_dim is None else AdaLayerNorm(dim, condition_dim)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a feed-forward over channels, beside a residual."""

    def __init__(self, dim: int, intermediate_dim: int, condition_dim: int | None) -> None:
        super().__init__()
        self.dwconv = Convolution(dim, dim, kernel_size=7, groups=dim)
        self.norm = make_norm(dim, condition_dim)
        self.pwconv1 = nn.Linear(dim, intermediate_dim)
        self.pwconv2 = nn.Linear(intermediate_dim, dim)
        self.gamma = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor, lengths: Lengths, *condition: Tensor) -> Tensor:
        """(B, T, C) to the same."""
        h = self.norm(self.dwconv(zero_padding(x, lengths)), *condition)
        h = self.pwconv2(F.gelu(self.pwconv1(h.to(self.pwconv1.weight.dtype))))
        out: Tensor = x + self.gamma * h
        return out


class VocosBackbone(nn.Module):
    """A convolution and a stack of ConvNeXt blocks at one frame rate, under a condition if it has one."""

    def __init__(
        self, input_dim: int, dim: int, intermediate_dim: int, layers: int, condition_dim: int | None = None
    ) -> None:
        super().__init__()
        # At 50 frames a second there are so few that oneDNN takes a slow way with weights in its own order: a window
        # of 24 frames took 86 ms for each of the prenet's three, and takes 1 ms in torch's.
        self.embed = Convolution(input_dim, dim, kernel_size=7, ordered=False)
        self.norm = make_norm(dim, condition_dim)
        self.convnext = nn.ModuleList(ConvNeXtBlock(dim, intermediate_dim, condition_dim) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(dim, eps=EPS)

    def forward(self, x: Tensor, lengths: Lengths, *condition: Tensor) -> Tensor:
        """(B, T, input_dim) to (B, T, dim), under the condition (B, condition_dim) if it was built for one."""
        x = self.norm(self.embed(zero_padding(x, lengths)), *condition)
        for block in self.convnext:
            x = block(x, lengths, *condition)
        out: Tensor = self.final_layer_norm(x)
        return out


class Stages(nn.ModuleList):
    """The short backbones between a network's main one and its edge, one for each of `sample_ratios`."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(
            VocosBackbone(config.vocos_dim, config.vocos_dim, config.vocos_intermediate_dim, STAGE_LAYERS)
            for _ in config.sample_ratios
        )

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, C) to the same."""
        for backbone in self:
            # Each stage begins with a resampler; at ratio 1 its three branches all carry x, and are summed.
            x = backbone(3 * x, lengths)
        return x
