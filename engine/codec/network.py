"""The networks of BiCodec, side by side as its checkpoint holds them."""

from __future__ import annotations

import torch
from torch import nn

from engine.codec.config import CodecConfig
from engine.codec.decoder import Prenet, Upsampling, WaveGenerator
from engine.codec.layers import ConvNeXtBlock, Convolution
from engine.codec.semantic import CodebookQuantizer, SemanticEncoder
from engine.codec.speaker import SpeakerEncoder


class CodecNetwork(nn.Module):
    """The parts of BiCodec, grouped as its checkpoint groups them."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.encoder = SemanticEncoder(config.encoder)
        self.quantizer = CodebookQuantizer(config.quantizer)
        self.speaker_encoder = SpeakerEncoder(config.mel_params, config.speaker_encoder)
        self.prenet = Prenet(config.prenet)
        self.decoder = WaveGenerator(config.decoder)

    def prepare(self, dtype: torch.dtype) -> None:
        """Bring the loaded weights into the form that is computed with, on the device where they are; once.

        `dtype` is that of decoding's heavy products: the wave generator's convolutions and the prenet's
        feed-forwards. What adds them up, scales or bends them stays float32: in bfloat16 the wave then has 37 dB
        of signal to noise on golden full-size weights, and 32 if all is bfloat16.
        """
        for name, layer in self.named_modules():
            if isinstance(layer, Convolution | Upsampling):
                layer.prepare(dtype if name.startswith("decoder.") else torch.float32)
        for block in self.prenet.modules():
            if isinstance(block, ConvNeXtBlock):
                block.pwconv1.to(dtype)
                block.pwconv2.to(dtype)
