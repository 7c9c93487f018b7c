"""ECAPA-TDNN: a mel spectrogram to frames that distinguish voices."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DILATIONS = (2, 3, 4)  # one for each SE-Res2 block
SCALE = 8  # groups of channels in a Res2 convolution
BOTTLENECK = 128  # inner width of squeeze-excitation


class ConvBlock(nn.Module):
    """Convolution, ReLU, batch norm: (B, C, T) to (B, C', T)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to (B, C', T)."""
        out: Tensor = self.bn(F.relu(self.conv(x)))
        return out


class Res2Conv(nn.Module):
    """Convolves groups of channels in turn, each with the result before it added; the last group is unchanged."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // SCALE
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, kernel_size=3, padding=dilation, dilation=dilation) for _ in range(SCALE - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(SCALE - 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to the same."""
        *groups, last = x.chunk(SCALE, dim=1)
        done: list[Tensor] = []
        for group, conv, norm in zip(groups, self.convs, self.bns, strict=True):
            previous = done[-1] if done else 0
            done.append(norm(F.relu(conv(group + previous))))
        return torch.cat([*done, last], dim=1)


class SqueezeExcite(nn.Module):
    """Scales channels by weights that are computed from their means over time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, BOTTLENECK)
        self.linear2 = nn.Linear(BOTTLENECK, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to the same."""
        weights = torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(dim=2)))))  # (B, C)
        return x * weights[..., None]


class SERes2Block(nn.Module):
    """A residual block: a Res2 convolution between two of kernel size 1, then squeeze-excitation."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.se_res2block = nn.Sequential(
            ConvBlock(channels, channels),
            Res2Conv(channels, dilation),
            ConvBlock(channels, channels),
            SqueezeExcite(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to the same."""
        out: Tensor = x + self.se_res2block(x)
        return out


class ECAPA(nn.Module):
    """The frame level of ECAPA-TDNN; the codec does not use its pooling head, the x-vector."""

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.layer1 = ConvBlock(bands, channels, kernel_size=5)
        self.layer2, self.layer3, self.layer4 = (SERes2Block(channels, dilation) for dilation in DILATIONS)
        self.conv = nn.Conv1d(len(DILATIONS) * channels, len(DILATIONS) * channels, kernel_size=1)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, bands, T) to (B, 3 * channels, T)."""
        x1 = self.layer1(mel)
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        x4 = self.layer4(x3)
        return F.relu(self.conv(torch.cat([x2, x3, x4], dim=1)))
