"""The networks of BiCodec, side by side as its checkpoint holds them."""

from __future__ import annotations

from torch import nn

from engine.codec.config import CodecConfig
from engine.codec.decoder import Prenet, WaveGenerator
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
