"""The voice: a reference clip to 32 global tokens, and these to the d-vector, which conditions the decoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.codec.config import MelConfig, SpeakerConfig
from engine.codec.ecapa import ECAPA
from engine.codec.mel import MelSpectrogram
from engine.codec.perceiver import PerceiverResampler


class FiniteScalarQuantizer(nn.Module):
    """Rounds each of a few dimensions to its own number of levels. The levels are the digits of a token."""

    levels: Tensor
    place_values: Tensor

    def __init__(self, dim: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.codebook_size = math.prod(levels)
        self.project_in = nn.Linear(dim, len(levels))
        self.project_out = nn.Linear(len(levels), dim)
        place_values = [math.prod(levels[:digit]) for digit in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels, device="cpu"), persistent=False)
        self.register_buffer("place_values", torch.tensor(place_values, device="cpu"), persistent=False)

    def tokens(self, x: Tensor) -> Tensor:
        """(B, N, C) to tokens (B, N)."""
        half = (self.levels - 1) * 1.001 / 2  # slightly wider, so that the outermost levels can be reached
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)  # an even number of levels has no middle level
        bounded = torch.tanh(self.project_in(x) + torch.atanh(offset / half)) * half - offset
        digits = bounded.round().long() + self.levels // 2  # (B, N, digits)
        return (digits * self.place_values).sum(dim=-1)

    def vectors(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N) to (B, N, C)."""
        digits = tokens[..., None] // self.place_values % self.levels  # (B, N, digits)
        middle = self.levels // 2
        vectors: Tensor = self.project_out((digits - middle) / middle)
        return vectors


class SpeakerEncoder(nn.Module):
    """Clips to global tokens, and global tokens to the d-vector."""

    def __init__(self, mel: MelConfig, config: SpeakerConfig) -> None:
        super().__init__()
        self.mel = MelSpectrogram(mel)
        self.ecapa = ECAPA(config.input_dim, config.ecapa_channels)
        self.resampler = PerceiverResampler(self.ecapa.conv.out_channels, config.latent_dim, config.token_num)
        self.quantizer = FiniteScalarQuantizer(config.latent_dim, config.fsq_levels)
        self.project = nn.Linear(config.latent_dim * config.token_num, config.out_dim)

    def tokens(self, clips: Tensor) -> Tensor:
        """Clips of one length (B, samples) to global tokens (B, 32)."""
        frames = self.ecapa(self.mel(clips)).transpose(1, 2)  # (B, T, 3 * channels)
        return self.quantizer.tokens(self.resampler(frames))

    def d_vector(self, tokens: Tensor) -> Tensor:
        """Global tokens (B, 32) to the d-vector (B, out_dim)."""
        vectors = self.quantizer.vectors(tokens)  # (B, 32, latent_dim)
        d_vector: Tensor = self.project(vectors.transpose(1, 2).flatten(1))  # a token's values are 32 apart
        return d_vector
