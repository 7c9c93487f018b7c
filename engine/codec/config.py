"""The codec's configuration in BiCodec/config.yaml, validated strictly and as a whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from engine.errors import CheckpointError
from engine.types import GLOBAL_TOKENS, SAMPLES_PER_TOKEN

KEY = "audio_tokenizer"


class Strict(BaseModel):
    """A part of the configuration: frozen, without unknown keys or conversions of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MelConfig(Strict):
    """The mel spectrogram, the speaker encoder's input; lengths in samples, frequencies in Hz."""

    sample_rate: Literal[16_000]
    n_fft: PositiveInt
    win_length: PositiveInt
    hop_length: PositiveInt
    mel_fmin: float = Field(ge=0)
    mel_fmax: float | None
    num_mels: PositiveInt


class BackboneConfig(Strict):
    """The fields that both networks with a Vocos backbone share."""

    input_channels: PositiveInt
    vocos_dim: PositiveInt
    vocos_intermediate_dim: PositiveInt
    vocos_num_layers: PositiveInt
    out_channels: PositiveInt
    sample_ratios: tuple[Literal[1], ...] = Field(strict=False)  # a YAML list; other ratios were never trained


class EncoderConfig(BackboneConfig):
    """The encoder: speech features to the latent that is quantised."""


class PrenetConfig(BackboneConfig):
    """The prenet: the quantised latent to the wave generator's input, conditioned on a voice."""

    condition_dim: PositiveInt
    use_tanh_at_final: Literal[False]


class QuantizerConfig(Strict):
    """The semantic codebook."""

    input_dim: PositiveInt
    codebook_size: PositiveInt
    codebook_dim: PositiveInt
    use_l2_normlize: Literal[True]
    commitment: float  # this field and the two below are for training
    codebook_loss_weight: float
    threshold_ema_dead_code: float


class SpeakerConfig(Strict):
    """The speaker encoder: a clip's mel spectrogram to global tokens, and global tokens to the d-vector."""

    input_dim: PositiveInt
    out_dim: PositiveInt
    latent_dim: PositiveInt
    token_num: PositiveInt
    fsq_levels: tuple[int, ...] = Field(strict=False, min_length=1)
    fsq_num_quantizers: Literal[1]
    ecapa_channels: PositiveInt = 512  # not in published configurations


class WaveConfig(Strict):
    """The wave generator: each of `rates` is an upsampling stage."""

    input_channel: PositiveInt
    channels: PositiveInt
    rates: tuple[PositiveInt, ...] = Field(strict=False, min_length=1)
    kernel_sizes: tuple[PositiveInt, ...] = Field(strict=False, min_length=1)


class CodecConfig(Strict):
    """All of BiCodec. `postnet` is for training, and not used."""

    mel_params: MelConfig
    encoder: EncoderConfig
    decoder: WaveConfig
    quantizer: QuantizerConfig
    speaker_encoder: SpeakerConfig
    prenet: PrenetConfig
    postnet: dict[str, Any] = {}

    @model_validator(mode="after")
    def parts_fit_together(self) -> Self:
        """Refuse configurations that would load, and then fail or sound wrong."""
        wave, speaker, prenet = self.decoder, self.speaker_encoder, self.prenet
        kernels_fit = len(wave.rates) == len(wave.kernel_sizes) and all(
            kernel >= rate and (kernel - rate) % 2 == 0
            for kernel, rate in zip(wave.kernel_sizes, wave.rates, strict=False)
        )
        rules = {
            "mel_params.num_mels must equal speaker_encoder.input_dim": self.mel_params.num_mels == speaker.input_dim,
            "encoder.out_channels must equal quantizer.input_dim": self.encoder.out_channels
            == self.quantizer.input_dim,
            "prenet.input_channels must equal quantizer.input_dim": prenet.input_channels == self.quantizer.input_dim,
            "prenet.condition_dim must equal speaker_encoder.out_dim": prenet.condition_dim == speaker.out_dim,
            "prenet.out_channels must equal speaker_encoder.out_dim": prenet.out_channels == speaker.out_dim,
            "decoder.input_channel must equal prenet.out_channels": wave.input_channel == prenet.out_channels,
            f"speaker_encoder.token_num must be {GLOBAL_TOKENS}": speaker.token_num == GLOBAL_TOKENS,
            "speaker_encoder.fsq_levels must each be 2 or more": min(speaker.fsq_levels) >= 2,
            f"decoder.rates must multiply to {SAMPLES_PER_TOKEN}": math.prod(wave.rates) == SAMPLES_PER_TOKEN,
            "decoder.kernel_sizes must each exceed the rate beside it by an even number": kernels_fit,
            "decoder.channels must halve at each of decoder.rates": wave.channels % 2 ** len(wave.rates) == 0,
        }
        for rule, holds in rules.items():
            if not holds:
                raise ValueError(rule)
        return self


def read_config(file: Path) -> CodecConfig:
    """Read BiCodec's config.yaml; raises CheckpointError."""
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file, so this is not a complete Spark-TTS checkpoint") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{file}: cannot be read as YAML: {' '.join(str(error).split()):.200}") from error
    if not isinstance(content, dict) or KEY not in content:
        raise CheckpointError(f"{file}: the key {KEY} is missing; all others are under it")
    try:
        return CodecConfig.model_validate(content[KEY])
    except ValidationError as error:
        first, *others = error.errors()
        key = ".".join(str(part) for part in (KEY, *first["loc"]))
        found = "" if isinstance(first["input"], dict) else f", found {first['input']!r:.60}"
        more = f" (and {len(others)} more)" if others else ""
        raise CheckpointError(f"{file}: {key}: {first['msg']}{found}{more}") from error
