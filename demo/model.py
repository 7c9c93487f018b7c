"""The demo model's dimensions: the layout of Spark-TTS at a few million weights."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers.normalizers import NFC, Lowercase, Sequence

from demo.tokens import CODES
from engine.checkpoints.synthetic import token_names, write_tokenizer
from engine.codec.config import CodecConfig
from engine.tokens.vocabulary import Vocabulary

LATENT = 64
WIDTH = 192
SHAPES = 256  # of sound in a frame, see demo.waveform_basis
BLOCK = 64  # samples that the wave generator writes at once
CODEC: dict[str, Any] = {
    "mel_params": {
        "sample_rate": 16_000,
        "n_fft": 1024,
        "win_length": 640,
        "hop_length": 320,
        "mel_fmin": 10,
        "mel_fmax": None,
        "num_mels": 128,
    },
    "encoder": {
        "input_channels": 64,
        "vocos_dim": 128,
        "vocos_intermediate_dim": 256,
        "vocos_num_layers": 4,
        "out_channels": LATENT,
        "sample_ratios": [1, 1],
    },
    "decoder": {
        "input_channel": WIDTH,
        "channels": SHAPES,
        "rates": [5, 1, BLOCK],  # the second only halves the channels, so that few are left at 16 kHz
        "kernel_sizes": [11, 1, BLOCK],
    },
    "quantizer": {
        "input_dim": LATENT,
        "codebook_size": CODES,
        "codebook_dim": 16,
        "commitment": 0.25,
        "codebook_loss_weight": 2.0,
        "use_l2_normlize": True,
        "threshold_ema_dead_code": 0.2,
    },
    "speaker_encoder": {
        "input_dim": 128,
        "out_dim": WIDTH,
        "latent_dim": 32,
        "token_num": 32,
        "fsq_levels": [4, 4, 4],
        "fsq_num_quantizers": 1,
        "ecapa_channels": 96,
    },
    "prenet": {
        "input_channels": LATENT,
        "vocos_dim": WIDTH,
        "vocos_intermediate_dim": 512,
        "vocos_num_layers": 6,
        "out_channels": WIDTH,
        "condition_dim": WIDTH,
        "sample_ratios": [1, 1],
        "use_tanh_at_final": False,
    },
}
WAV2VEC2: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 17,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "conv_dim": [32] * 7,
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "num_feat_extract_layers": 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "layerdrop": 0.0,
    "mask_time_prob": 0.0,
}
QWEN2: dict[str, int] = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
TEXT_TOKENS = 256  # one for each byte
SHARPNESS = 3.0
"""How much surer the language model is than training made it: of its unlikely tokens, most are wrong."""


def codec_config() -> CodecConfig:
    """The codec's configuration, validated."""
    return CodecConfig.model_validate(CODEC)


def names() -> list[str]:
    """The token names, in the order of their ids."""
    global_codes = int(np.prod(CODEC["speaker_encoder"]["fsq_levels"]))
    return token_names(TEXT_TOKENS, global_codes, CODES)


@cache
def vocabulary() -> Vocabulary:
    """The demo model's vocabulary; its letters are lower case."""
    with tempfile.TemporaryDirectory() as directory:
        write_tokenizer(Path(directory), names(), Sequence([NFC(), Lowercase()]))
        return Vocabulary(Path(directory) / "tokenizer.json")
