"""The mel spectrogram, the speaker encoder's input."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from engine.codec.config import MelConfig


class MelSpectrogram(nn.Module):
    """Magnitudes in mel bands (Slaney's scale and norm), without a logarithm."""

    window: Tensor
    filters: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        filters = mel_filter_bank(
            num_frequency_bins=config.n_fft // 2 + 1,
            num_mel_filters=config.num_mels,
            min_frequency=config.mel_fmin,
            max_frequency=config.sample_rate / 2 if config.mel_fmax is None else config.mel_fmax,
            sampling_rate=config.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        # Computed, not loaded: it needs a real device even while the model is built on the meta device.
        window = torch.hann_window(config.win_length, device="cpu")
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters).float().T, persistent=False)  # (bands, bins)

    def forward(self, wav: Tensor) -> Tensor:
        """(B, samples) to (B, bands, 1 + samples // hop)."""
        spectrum = torch.stft(
            wav,
            n_fft=self.config.n_fft,
            hop_length=self.config.hop_length,
            win_length=self.config.win_length,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        return self.filters @ spectrum.abs()
