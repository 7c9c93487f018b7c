"""The decoder: quantised latent and d-vector to samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.codec.config import PrenetConfig, WaveConfig
from engine.codec.layers import Stages, VocosBackbone, zero_padding

DILATIONS = (1, 3, 9)  # one for each residual unit of a stage


class Prenet(nn.Module):
    """Quantised latent to the wave generator's input, in a voice; still 50 frames a second."""

    def __init__(self, config: PrenetConfig) -> None:
        super().__init__()
        dim = config.vocos_dim
        self.linear_pre = nn.Linear(config.input_channels, dim)
        self.stages = Stages(config)
        self.backbone = VocosBackbone(
            dim, dim, config.vocos_intermediate_dim, config.vocos_num_layers, config.condition_dim
        )
        self.linear = nn.Linear(dim, config.out_channels)

    def forward(self, x: Tensor, d_vector: Tensor, mask: Tensor | None) -> Tensor:
        """Latent (B, T, C) and d-vector (B, D) to (B, T, out_channels)."""
        x = self.stages(self.linear_pre(x), mask)
        out: Tensor = self.linear(self.backbone(x, mask, d_vector))
        return out


class Snake(nn.Module):
    """x + sin^2(alpha x) / alpha: an activation that tends to oscillate, as speech does."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to the same."""
        return x + (self.alpha * x).sin().square() / (self.alpha + 1e-9)


class ResidualUnit(nn.Module):
    """A dilated convolution and one of kernel 1, each after a Snake, beside a residual."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            [
                Snake(channels),
                nn.Conv1d(channels, channels, kernel_size=7, dilation=dilation, padding=3 * dilation),
                Snake(channels),
                nn.Conv1d(channels, channels, kernel_size=1),
            ]
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, C, T) to the same."""
        snake_1, dilated, snake_2, pointwise = self.block
        h = dilated(zero_padding(snake_1(x), mask))
        out: Tensor = x + pointwise(snake_2(h))
        return out


class UpsamplingStage(nn.Module):
    """A transposed convolution to `rate` times the frames and half the channels, then residual units."""

    def __init__(self, channels: int, kernel_size: int, rate: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            [
                Snake(channels),
                nn.ConvTranspose1d(
                    channels, channels // 2, kernel_size, stride=rate, padding=(kernel_size - rate) // 2
                ),
                *(ResidualUnit(channels // 2, dilation) for dilation in DILATIONS),
            ]
        )

    def forward(self, x: Tensor, mask: Tensor | None, mask_after: Tensor | None) -> Tensor:
        """(B, C, T) to (B, C / 2, rate * T), each under its own mask."""
        snake, upsample, *units = self.block
        x = upsample(zero_padding(snake(x), mask))
        for unit in units:
            x = unit(x, mask_after)
        return x


class WaveGenerator(nn.Module):
    """Frames to samples, in upsampling stages."""

    def __init__(self, config: WaveConfig) -> None:
        super().__init__()
        self.rates = config.rates
        widths = [config.channels // 2**stage for stage in range(len(config.rates) + 1)]
        stages = zip(widths[:-1], config.kernel_sizes, config.rates, strict=True)
        self.model = nn.ModuleList(
            [
                nn.Conv1d(config.input_channel, widths[0], kernel_size=7, padding=3),
                *(UpsamplingStage(width, kernel_size, rate) for width, kernel_size, rate in stages),
                Snake(widths[-1]),
                nn.Conv1d(widths[-1], 1, kernel_size=7, padding=3),
            ]
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Frames (B, T, C) to samples (B, samples per frame * T)."""
        conv_in, *stages, snake, conv_out = self.model
        x = conv_in(zero_padding(x.transpose(1, 2), mask))  # (B, channels, T)
        for stage, rate in zip(stages, self.rates, strict=True):
            mask_after = None if mask is None else mask.repeat_interleave(rate, dim=2)
            x = stage(x, mask, mask_after)
            mask = mask_after
        wave: Tensor = torch.tanh(conv_out(zero_padding(snake(x), mask)))  # (B, 1, samples)
        return wave[:, 0]
