"""The semantic path: speech features to a latent, and the latent to and from one token per frame."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from engine.codec.config import EncoderConfig, QuantizerConfig
from engine.codec.layers import Lengths, Stages, VocosBackbone


class SemanticEncoder(nn.Module):
    """Speech features to the latent that is quantised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.backbone = VocosBackbone(
            config.input_channels, config.vocos_dim, config.vocos_intermediate_dim, config.vocos_num_layers
        )
        self.stages = Stages(config)
        self.project = nn.Linear(config.vocos_dim, config.out_channels)

    def forward(self, features: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, features) to (B, T, latent)."""
        latent: Tensor = self.project(self.stages(self.backbone(features, lengths), lengths))
        return latent


class CodebookQuantizer(nn.Module):
    """Nearest neighbour by cosine similarity in a codebook of few dimensions."""

    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.in_project = nn.Conv1d(config.input_dim, config.codebook_dim, kernel_size=1)
        self.codebook = nn.Embedding(config.codebook_size, config.codebook_dim)
        self.out_project = nn.Conv1d(config.codebook_dim, config.input_dim, kernel_size=1)

    def tokens(self, latent: Tensor) -> Tensor:
        """(B, T, latent) to tokens (B, T)."""
        codes = self.in_project(latent.transpose(1, 2)).transpose(1, 2)  # (B, T, codebook_dim)
        # On the unit sphere the nearest entry has the largest cosine.
        cosines = F.normalize(codes, dim=-1) @ F.normalize(self.codebook.weight, dim=-1).T  # (B, T, codebook_size)
        return cosines.argmax(dim=-1)

    def vectors(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to the quantised latent (B, T, latent), from the codebook's rows without normalisation."""
        vectors: Tensor = self.out_project(self.codebook(tokens).transpose(1, 2)).transpose(1, 2)
        return vectors
