"""Layers that encoder and decoder share: the Vocos backbone and its blocks, and masks over padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.codec.config import BackboneConfig

EPS = 1e-6
STAGE_LAYERS = 2  # ConvNeXt blocks in each stage beside the main backbone


def frame_mask(lengths: Sequence[int], device: torch.device) -> Tensor | None:
    """Tell frames from padding: True where an item has a frame, (B, 1, T); None if no item is padded."""
    if min(lengths) == max(lengths):
        return None
    frames = torch.arange(max(lengths), device=device)
    return frames < torch.tensor(lengths, device=device).view(-1, 1, 1)


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Put zeros beyond each item's end in `x` (B, C, T).

    It goes before every layer that looks at neighbouring frames: an item's last frames then see what they would
    see at the end of a tensor, where convolutions pad with zeros, and a batch sounds like its items one by one.
    """
    return x if mask is None else torch.where(mask, x, 0)


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
        self.dwconv = nn.Conv1d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = make_norm(dim, condition_dim)
        self.pwconv1 = nn.Linear(dim, intermediate_dim)
        self.pwconv2 = nn.Linear(intermediate_dim, dim)
        self.gamma = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor, mask: Tensor | None, *condition: Tensor) -> Tensor:
        """(B, T, C) to the same."""
        h = self.dwconv(zero_padding(x.transpose(1, 2), mask)).transpose(1, 2)  # over time as (B, C, T)
        h = self.norm(h, *condition)
        h = self.pwconv2(F.gelu(self.pwconv1(h)))
        out: Tensor = x + self.gamma * h
        return out


class VocosBackbone(nn.Module):
    """A convolution and a stack of ConvNeXt blocks at one frame rate, under a condition if it has one."""

    def __init__(
        self, input_dim: int, dim: int, intermediate_dim: int, layers: int, condition_dim: int | None = None
    ) -> None:
        super().__init__()
        self.embed = nn.Conv1d(input_dim, dim, kernel_size=7, padding=3)
        self.norm = make_norm(dim, condition_dim)
        self.convnext = nn.ModuleList(ConvNeXtBlock(dim, intermediate_dim, condition_dim) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(dim, eps=EPS)

    def forward(self, x: Tensor, mask: Tensor | None, *condition: Tensor) -> Tensor:
        """(B, T, input_dim) to (B, T, dim), under the condition (B, condition_dim) if it was built for one."""
        x = self.embed(zero_padding(x.transpose(1, 2), mask)).transpose(1, 2)
        x = self.norm(x, *condition)
        for block in self.convnext:
            x = block(x, mask, *condition)
        out: Tensor = self.final_layer_norm(x)
        return out


class Stages(nn.ModuleList):
    """The short backbones between a network's main one and its edge, one for each of `sample_ratios`."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(
            VocosBackbone(config.vocos_dim, config.vocos_dim, config.vocos_intermediate_dim, STAGE_LAYERS)
            for _ in config.sample_ratios
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, C) to the same."""
        for backbone in self:
            # Each stage begins with a resampler; at ratio 1 its three branches all carry x, and are summed.
            x = backbone(3 * x, mask)
        return x
