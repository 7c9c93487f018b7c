"""Layers of the encoder and the decoder: convolutions, the Vocos backbone and its blocks, zeros over padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.codec.config import BackboneConfig

EPS = 1e-6
STAGE_LAYERS = 2  # ConvNeXt blocks in each stage beside the main backbone
USUAL_FRAMES = 52  # of the codec, in a window


Lengths = Sequence[int] | Tensor | None
"""The number of frames of each item in a padded batch; None if no item is padded. CUDA graphs need a tensor (B,)."""


def lengths_if_padded(lengths: Sequence[int]) -> Lengths:
    """The lengths; None if all are the same, so that no item is padded."""
    return None if min(lengths) == max(lengths) else lengths


def zero_padding(x: Tensor, lengths: Lengths) -> Tensor:
    """Set the frames after each item's end in `x` (B, T, C) to zero, in place.

    It is called before each layer that uses neighbouring frames. So an item's last frames get the same input as at the
    end of a tensor, where convolutions pad with zeros, and the result does not depend on the batch.
    """
    if isinstance(lengths, Tensor):
        x.masked_fill_((torch.arange(x.shape[1], device=x.device) >= lengths[:, None])[..., None], 0)
    elif lengths is not None:
        for item, length in zip(x, lengths, strict=True):
            item[length:] = 0
    return x


class Convolution(nn.Module):
    """A convolution over time, (B, T, C) to (B, T, out), padded with zeros at both ends.

    The weights are loaded in the checkpoint's layout. `prepare` must be called before the first use.
    """

    def __init__(
        self, channels: int, out_channels: int, kernel_size: int, dilation: int = 1, groups: int = 1, *, rate: int = 1
    ) -> None:
        """`rate` is the number of this layer's frames in one of the codec's."""
        super().__init__()
        self.rate = rate
        self.dilation = dilation
        self.groups = groups
        self.padding = dilation * (kernel_size - 1) // 2
        self.weight = nn.Parameter(torch.empty(out_channels, channels // groups, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def prepare(self, dtype: torch.dtype, *, packed: bool) -> None:
        """Convert the loaded weights to those that `convolve` takes, see `prepare_weight`; call it once."""
        self.to(dtype)
        frames = self.rate * USUAL_FRAMES if packed else None
        self.weight = prepare_weight(self.weight, self.padding, self.dilation, self.groups, packed_for=frames)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, out), in the precision of the weights."""
        return convolve(x, self.weight, self.bias, self.padding, self.dilation, self.groups)


def prepare_weight(
    weight: Tensor, padding: int, dilation: int = 1, groups: int = 1, *, packed_for: int | None
) -> nn.Parameter:
    """Convert a convolution's weight (out, C / groups, kernel) to the form that `convolve` takes.

    A kernel of one frame becomes a matrix. Other weights of a CPU can be packed in oneDNN's own order, as
    torch.compile does, for an input of `packed_for` frames. torch's convolution packs them in each call: 22 ms of 25
    for the layer with the largest weights and 24 frames. The order that oneDNN prefers depends on the input, so it
    must be known: without it, some layers took twelve times as long for 24 frames, in bfloat16. Once packed, the wave
    generator's weights were as fast for every number of frames.
    """
    if weight.shape[2] == 1:
        return nn.Parameter(weight[:, :, 0].contiguous(), requires_grad=False)
    channels = weight.shape[1] * groups
    weight = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    if packed_for is not None and weight.is_cpu and can_pack(weight.dtype):
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight, [0, padding], [1, 1], [1, dilation], groups, [1, channels, 1, packed_for]
        )
    return nn.Parameter(weight, requires_grad=False)


def can_pack(dtype: torch.dtype) -> bool:
    """Whether oneDNN computes in this precision on this machine's CPU."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def convolve(x: Tensor, weight: Tensor, bias: Tensor, padding: int, dilation: int = 1, groups: int = 1) -> Tensor:
    """Convolve (B, T, C) with a weight from `prepare_weight`, in the weight's precision.

    This is a two-dimensional convolution of height 1: only for two dimensions does torch have kernels for
    channels-last memory, which is the layout of (B, T, C).
    """
    if weight.ndim == 2:
        return F.linear(x.to(weight.dtype), weight, bias)
    image = x.to(weight.dtype).transpose(1, 2).unsqueeze(2)  # (B, C, 1, T)
    paddings, strides, dilations = [0, padding], [1, 1], [1, dilation]
    if weight.is_mkldnn:
        image = torch.ops.mkldnn._convolution_pointwise(
            image, weight, bias, paddings, strides, dilations, groups, "none", [], ""
        )
    else:
        image = F.conv2d(image, weight, bias, strides, paddings, dilations, groups)
    return image.squeeze(2).transpose(1, 2)


class AdaLayerNorm(nn.Module):
    """Layer norm whose scale and shift are computed from a condition, such as a voice."""

    def __init__(self, dim: int, condition_dim: int) -> None:
        super().__init__()
        self.scale = nn.Linear(condition_dim, dim)
        self.shift = nn.Linear(condition_dim, dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise `x` (B, T, C), given the condition (B, D)."""
        scale: Tensor = self.scale(condition)[:, None]  # (B, 1, C)
        shift: Tensor = self.shift(condition)[:, None]
        return F.layer_norm(x, x.shape[-1:], eps=EPS) * scale + shift


def make_norm(dim: int, condition_dim: int | None) -> nn.Module:
    """A layer norm, adaptive if there is a condition."""
    return nn.LayerNorm(dim, eps=EPS) if condition_dim is None else AdaLayerNorm(dim, condition_dim)


class ConvNeXtBlock(nn.Module):
    """A residual block: depthwise convolution over time, then a feed-forward over channels."""

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
    """A convolution and a stack of ConvNeXt blocks at one frame rate, with or without a condition."""

    def __init__(
        self, input_dim: int, dim: int, intermediate_dim: int, layers: int, condition_dim: int | None = None
    ) -> None:
        super().__init__()
        self.embed = Convolution(input_dim, dim, kernel_size=7)
        self.norm = make_norm(dim, condition_dim)
        self.convnext = nn.ModuleList(ConvNeXtBlock(dim, intermediate_dim, condition_dim) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(dim, eps=EPS)

    def forward(self, x: Tensor, lengths: Lengths, *condition: Tensor) -> Tensor:
        """(B, T, input_dim) to (B, T, dim), given the condition (B, condition_dim) if there is one."""
        x = self.norm(self.embed(zero_padding(x, lengths)), *condition)
        for block in self.convnext:
            x = block(x, lengths, *condition)
        out: Tensor = self.final_layer_norm(x)
        return out


class Stages(nn.ModuleList):
    """The short backbones before or after a network's main one, one for each of `sample_ratios`."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(
            VocosBackbone(config.vocos_dim, config.vocos_dim, config.vocos_intermediate_dim, STAGE_LAYERS)
            for _ in config.sample_ratios
        )

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, C) to the same."""
        for backbone in self:
            # Each stage begins with a resampler, which at ratio 1 is the sum of three branches that all are x.
            x = backbone(3 * x, lengths)
        return x
