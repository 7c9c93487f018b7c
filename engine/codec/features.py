"""Speech features from the lower layers of wav2vec2: the input for the semantic tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import Wav2Vec2Config, Wav2Vec2Model

from engine.codec.layers import lengths_if_padded

FEATURE_LAYERS = (11, 14, 16)
"""The features are the mean of these layers' outputs. The layers above the last one are not needed."""


class SpeechFeatures(nn.Module):
    """wav2vec2 up to the last layer in use: samples to features (B, T, C) at 50 Hz.

    `config` must have `FEATURE_LAYERS[-1]` layers.
    """

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.kernels_and_strides = tuple(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.wav2vec2 = Wav2Vec2Model(config)
        # Features are the layers' raw outputs, but some releases of transformers normalise the last one.
        self.wav2vec2.encoder.layer_norm = nn.Identity()  # type: ignore[assignment]

    @property
    def shortest(self) -> int:
        """The least number of samples that give a frame."""
        samples = 1
        for kernel, stride in reversed(self.kernels_and_strides):
            samples = (samples - 1) * stride + kernel
        return samples

    def frames(self, samples: int) -> int:
        """The number of frames for a number of samples."""
        for kernel, stride in self.kernels_and_strides:
            samples = (samples - kernel) // stride + 1
        return samples

    def forward(self, wavs: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
        """The features (B, T, C) of `wavs`, each (samples,), and each item's number of frames."""
        lengths = [len(wav) for wav in wavs]
        # Each item has zero mean and unit variance.
        x = pad_sequence([F.layer_norm(wav, wav.shape, eps=1e-7) for wav in wavs], batch_first=True)  # (B, samples)
        mask = None
        if lengths_if_padded(lengths):
            mask = pad_sequence([torch.ones_like(wav, dtype=torch.int64) for wav in wavs], batch_first=True)
        output = self.wav2vec2(x, attention_mask=mask, output_hidden_states=True)
        layers = torch.stack([output.hidden_states[layer] for layer in FEATURE_LAYERS])  # (3, B, T, C)
        return layers.mean(dim=0), [self.frames(length) for length in lengths]
