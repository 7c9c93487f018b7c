"""Makes the codec's networks trainable: the weights stay as in the checkpoint, and have gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.codec.config import CodecConfig
from engine.codec.layers import AdaLayerNorm, Convolution
from engine.codec.network import CodecNetwork


class _Kernel(nn.Module):
    """Converts a convolution's weight for `engine.codec.layers.convolve` in each step; serving converts it once."""

    def forward(self, weight: Tensor) -> Tensor:
        """(out, C, kernel) to (out, C, 1, kernel)."""
        return weight.unsqueeze(2)


def trainable(config: CodecConfig) -> CodecNetwork:
    """The codec's networks with initial weights, but for the wave generator's stages; batches must not be padded.

    The wave generator's weights stay as they are: `demo.wave_training` computes with them.
    """
    network = CodecNetwork(config)
    _initialise(network)
    for name, module in network.named_modules():
        wave = name.startswith("decoder.")
        if isinstance(module, Convolution) and module.weight.shape[2] > 1 and not wave:
            parametrize.register_parametrization(module, "weight", _Kernel(), unsafe=True)
    return network


def _initialise(network: CodecNetwork) -> None:
    """Initialise every tensor that `torch.empty` created."""
    for name, value in network.named_parameters():
        leaf = name.rpartition(".")[2]
        if leaf == "alpha" or (leaf == "gamma" and "resampler" in name):
            nn.init.ones_(value)
        elif leaf == "gamma":  # of a ConvNeXt block: a residual that begins small
            nn.init.constant_(value, 0.2)
        elif leaf == "latents":
            nn.init.normal_(value, std=0.3)
    for module in network.modules():
        if isinstance(module, Convolution):
            nn.init.normal_(module.weight, std=1 / math.sqrt(math.prod(module.weight.shape[1:])))
            nn.init.zeros_(module.bias)
        elif isinstance(module, AdaLayerNorm):  # begins as a plain norm
            module.scale.weight.data *= 0.1
            nn.init.ones_(module.scale.bias)
            module.shift.weight.data *= 0.1
            nn.init.zeros_(module.shift.bias)


def weights(network: torch.nn.Module) -> dict[str, Tensor]:
    """The weights of a trainable network, by their names in a `CodecNetwork` that is not prepared."""
    return {
        name.replace("parametrizations.", "").removesuffix(".original"): value
        for name, value in network.state_dict().items()
    }
