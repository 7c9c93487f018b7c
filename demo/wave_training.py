"""The wave generator with gradients, and the critics that it is trained against.

The engine's own layers compute in place and with packed weights, for speed; these compute the same from the same
weights. A test compares them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from engine.codec.activation import Snake
from engine.codec.decoder import WaveGenerator

CRITICS = (256, 512, 1024)  # samples: the windows of the spectrograms that critics look at
CHANNELS = 32
SLOPE = 0.1  # of what is negative, in critics


def _snake(x: Tensor, snake: Snake) -> Tensor:
    alpha = snake.alpha
    return x + torch.sin(alpha * x).square() / (alpha + 1e-9)


def waves(generator: WaveGenerator, frames: Tensor) -> Tensor:
    """What an unprepared wave generator makes of frames (B, T, C): samples (B, 320 T)."""
    layers: list[Any] = list(generator.model)
    conv_in, *stages, snake, conv_out = layers
    x = F.conv1d(frames.transpose(1, 2), conv_in.weight, conv_in.bias, padding=3)
    for stage in stages:
        first, upsampling, *units = stage.block
        x = F.conv_transpose1d(
            _snake(x, first), upsampling.weight, upsampling.bias, stride=upsampling.rate, padding=upsampling.padding
        )
        for unit in units:
            snake_1, dilated, snake_2, pointwise = unit.block
            h = F.conv1d(
                _snake(x, snake_1), dilated.weight, dilated.bias, padding=dilated.padding, dilation=dilated.dilation
            )
            x = x + F.conv1d(_snake(h, snake_2), pointwise.weight, pointwise.bias)
    wave: Tensor = torch.tanh(F.conv1d(_snake(x, snake), conv_out.weight, conv_out.bias, padding=3))
    return wave[:, 0]


def spectrogram(wave: Tensor, window: int) -> Tensor:
    """The complex spectrogram (B, bins, T) of waves (B, samples), four windows overlapping."""
    return torch.stft(
        wave, window, window // 4, window, torch.hann_window(window, device=wave.device), return_complex=True
    )


class Critic(nn.Module):
    """Tells speech from what the generator makes, by a spectrogram: how real each place looks, and what it saw."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        widths = [(2, (3, 9), (1, 1)), *[(CHANNELS, (3, 9), (1, 2))] * 3, (CHANNELS, (3, 3), (1, 1))]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(width, CHANNELS, (high, wide), stride, (high // 2, wide // 2)))
            for width, (high, wide), stride in widths
        )
        self.last = weight_norm(nn.Conv2d(CHANNELS, 1, 3, padding=1))

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Waves (B, samples) to opinions (B, 1, T, bins / 8) and each layer's output."""
        seen = spectrogram(wave, self.window)
        # Ears hear quiet sounds beside loud ones: the square root of the magnitude, with its phase.
        seen = seen / (seen.abs() + 1e-3).sqrt()
        x = torch.stack([seen.real, seen.imag], dim=1).transpose(2, 3)
        outputs = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            outputs.append(x)
        return self.last(x), outputs


class Critics(nn.Module):
    """Critics of several windows."""

    def __init__(self) -> None:
        super().__init__()
        self.critics = nn.ModuleList(Critic(window) for window in CRITICS)

    def judged(self, spoken: Tensor, real: Tensor) -> Tensor:
        """The critics' own loss (hinge): real waves above 1, spoken ones below -1."""
        losses = []
        for critic in self.critics:
            good, _ = critic(real)
            bad, _ = critic(spoken.detach())
            losses.append(F.relu(1 - good).mean() + F.relu(1 + bad).mean())
        return torch.stack(losses).mean()

    def convinced(self, spoken: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's losses: what critics say of spoken waves, and how far what they saw is from real waves."""
        self.requires_grad_(False)
        opinions, distances = [], []
        for critic in self.critics:
            opinion, seen = critic(spoken)
            with torch.no_grad():
                _, wanted = critic(real)
            opinions.append(-opinion.mean())
            distances += [
                (one - other).abs().mean() / other.abs().mean().clamp(min=1e-3)
                for one, other in zip(seen, wanted, strict=True)
            ]
        self.requires_grad_(True)
        return torch.stack(opinions).mean(), torch.stack(distances).mean()
