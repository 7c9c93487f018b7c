"""The decoder: the quantised latent and the d-vector to samples."""

from __future__ import annotations

import math
import operator
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.codec.activation import Residual, Snake
from engine.codec.config import PrenetConfig, WaveConfig
from engine.codec.layers import (
    USUAL_FRAMES,
    Convolution,
    Lengths,
    Stages,
    VocosBackbone,
    convolve,
    prepare_weight,
    zero_padding,
)

DILATIONS = (1, 3, 9)  # one for each residual unit of a stage


class Prenet(nn.Module):
    """The quantised latent to the wave generator's input, conditioned on a voice, at 50 frames per second."""

    def __init__(self, config: PrenetConfig) -> None:
        super().__init__()
        dim = config.vocos_dim
        self.linear_pre = nn.Linear(config.input_channels, dim)
        self.stages = Stages(config)
        self.backbone = VocosBackbone(
            dim, dim, config.vocos_intermediate_dim, config.vocos_num_layers, config.condition_dim
        )
        self.linear = nn.Linear(dim, config.out_channels)

    def forward(self, x: Tensor, d_vector: Tensor, lengths: Lengths) -> Tensor:
        """Latent (B, T, C) and d-vector (B, D) to (B, T, out_channels)."""
        x = self.stages(self.linear_pre(x), lengths)
        out: Tensor = self.linear(self.backbone(x, lengths, d_vector))
        return out


class Upsampling(nn.Module):
    """A transposed convolution over time: (B, T, C) to (B, rate * T, out).

    It is computed as a convolution with `rate` times the channels: (B, T, rate * out) has the same memory layout as
    (B, rate * T, out). `prepare` must be called before the first use.
    """

    def __init__(self, channels: int, out_channels: int, kernel_size: int, rate: int, input_rate: int = 1) -> None:
        """`input_rate` is the number of input frames in one of the codec's."""
        super().__init__()
        self.rate = rate
        self.input_rate = input_rate
        self.padding = (kernel_size - rate) // 2
        self.taps = -(-kernel_size // rate)
        self.weight = nn.Parameter(torch.empty(channels, out_channels, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def prepare(self, dtype: torch.dtype, *, packed: bool) -> None:
        """Convert the loaded weight (C, out, kernel) to that of a convolution, (rate * out, C, taps); call it once.

        See `prepare_weight` for `packed`.

        An input frame contributes to `kernel` output frames, from its own first one on. Its contribution to the output
        frame number `rate * tap + r` is the convolution's value at this tap, in the channels of phase `r`.
        """
        self.to(dtype)
        C, out, kernel = self.weight.shape
        weight = F.pad(self.weight, (0, self.taps * self.rate - kernel)).view(C, out, self.taps, self.rate)
        weight = weight.flip(2)  # a convolution's last tap is for the latest frame
        weight = weight.permute(3, 1, 0, 2).reshape(self.rate * out, C, self.taps)
        frames = self.input_rate * USUAL_FRAMES if packed else None
        self.weight = prepare_weight(weight, self.taps - 1, packed_for=frames)
        self.bias = nn.Parameter(self.bias.repeat(self.rate), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, rate * T, out), in the precision of the weights."""
        B, T, _ = x.shape
        x = convolve(x, self.weight, self.bias, padding=self.taps - 1)  # (B, T + taps - 1, rate * out)
        x = x.reshape(B, (T + self.taps - 1) * self.rate, -1)
        return x[:, self.padding : self.padding + T * self.rate]


class ResidualUnit(nn.Module):
    """A residual unit: a dilated convolution and one of kernel size 1, each after a Snake."""

    def __init__(self, channels: int, dilation: int, rate: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            [
                Snake(channels),
                Convolution(channels, channels, kernel_size=7, dilation=dilation, rate=rate),
                Snake(channels),
                Convolution(channels, channels, kernel_size=1),
            ]
        )

    def forward(self, x: Residual, lengths: Lengths) -> None:
        """Add the unit's output to `x`, whose sum has the shape (B, T, C)."""
        layers: list[Any] = list(self.block)
        snake_1, dilated, snake_2, pointwise = layers
        h = dilated(zero_padding(x.activate(snake_1, dilated.weight.dtype), lengths))
        x.add(pointwise(snake_2(h, pointwise.weight.dtype)))


class UpsamplingStage(nn.Module):
    """A transposed convolution to `rate` times the frames and half of the channels, then residual units."""

    def __init__(self, channels: int, kernel_size: int, rate: int, input_rate: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            [
                Snake(channels),
                Upsampling(channels, channels // 2, kernel_size, rate, input_rate),
                *(ResidualUnit(channels // 2, dilation, rate * input_rate) for dilation in DILATIONS),
            ]
        )

    def forward(self, x: Residual, lengths: Lengths, longer: Lengths) -> Residual:
        """Sum (B, T, C) with `lengths` to a sum (B, rate * T, C / 2) with `longer`."""
        layers: list[Any] = list(self.block)
        snake, upsample, *units = layers
        x = Residual(upsample(zero_padding(x.activate(snake, upsample.weight.dtype), lengths)))
        for unit in units:
            unit(x, longer)
        return x


def longer_by(rate: int, lengths: Lengths) -> Lengths:
    """The lengths in frames of which there are `rate` times as many."""
    if isinstance(lengths, Tensor):
        return rate * lengths
    return None if lengths is None else [rate * length for length in lengths]


class WaveGenerator(nn.Module):
    """Frames to samples, in upsampling stages."""

    def __init__(self, config: WaveConfig) -> None:
        super().__init__()
        self.rates = config.rates
        widths = [config.channels // 2**stage for stage in range(len(config.rates) + 1)]
        input_rates = accumulate(config.rates[:-1], operator.mul, initial=1)
        stages = zip(widths[:-1], config.kernel_sizes, config.rates, input_rates, strict=True)
        self.model = nn.ModuleList(
            [
                Convolution(config.input_channel, widths[0], kernel_size=7),
                *(UpsamplingStage(*stage) for stage in stages),
                Snake(widths[-1]),
                Convolution(widths[-1], 1, kernel_size=7, rate=math.prod(config.rates)),
            ]
        )

    @property
    def receptive_radius(self) -> int:
        """The number of frames to each side that a frame's samples depend on."""
        frames, rate = 3.0, 1  # the first convolution's
        for upsampling in self.rates:
            frames += 1 / rate
            rate *= upsampling
            frames += 3 * sum(DILATIONS) / rate
        return math.ceil(frames + 3 / rate)

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """Frames (B, T, C) to samples (B, samples per frame * T)."""
        layers: list[Any] = list(self.model)
        conv_in, *stages, snake, conv_out = layers
        total = Residual(conv_in(zero_padding(x, lengths)))  # (B, T, channels)
        for stage, rate in zip(stages, self.rates, strict=True):
            longer = longer_by(rate, lengths)
            total = stage(total, lengths, longer)
            lengths = longer
        last = zero_padding(total.activate(snake, conv_out.weight.dtype), lengths)
        wave: Tensor = torch.tanh(conv_out(last).float())
        return wave[..., 0]  # of (B, samples, 1)
