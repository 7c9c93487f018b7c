"""The networks of BiCodec, grouped as in its checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.codec.activation import Snake
from engine.codec.config import CodecConfig
from engine.codec.decoder import Prenet, Upsampling, WaveGenerator
from engine.codec.form import CodecForm
from engine.codec.layers import ConvNeXtBlock, Convolution, Lengths
from engine.codec.semantic import CodebookQuantizer, SemanticEncoder
from engine.codec.speaker import SpeakerEncoder


class CodecNetwork(nn.Module):
    """All networks of BiCodec."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.encoder = SemanticEncoder(config.encoder)
        self.quantizer = CodebookQuantizer(config.quantizer)
        self.speaker_encoder = SpeakerEncoder(config.mel_params, config.speaker_encoder)
        self.prenet = Prenet(config.prenet)
        self.decoder = WaveGenerator(config.decoder)

    def frames(self, semantic: Tensor, voices: Tensor, lengths: Lengths) -> Tensor:
        """The wave generator's input (B, T, C) for semantic tokens (B, T) in the voice of global tokens (B, 32)."""
        latent = self.quantizer.vectors(semantic)
        d_vector = self.speaker_encoder.d_vector(voices)  # (B, C)
        frames: Tensor = self.prenet(latent, d_vector, lengths) + d_vector[:, None]
        return frames

    def prepare(self, form: CodecForm) -> None:
        """Convert the loaded weights to the form for inference, on their device; call it once.

        The precision is that of the large matrix products of decoding: the wave generator's convolutions and the
        prenet's feed-forwards. Sums, norms and activations stay float32. With bfloat16 the signal-to-noise ratio is
        37 dB on golden full-size weights; it would be 32 dB if all were bfloat16. Only the wave generator's weights are
        packed: the prenet's order is another for 100 frames than for 60, where packing them took 18 ms in each call.
        """
        for name, layer in self.named_modules():
            if isinstance(layer, Convolution | Upsampling):
                wave = name.startswith("decoder.")
                layer.prepare(form.dtype if wave else torch.float32, packed=wave and name not in form.plain)
            elif isinstance(layer, Snake):
                layer.fused = form.fused
        for block in self.prenet.modules():
            if isinstance(block, ConvNeXtBlock):
                block.pwconv1.to(form.dtype)
                block.pwconv2.to(form.dtype)
