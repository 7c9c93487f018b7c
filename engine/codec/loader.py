"""Loads modules from a checkpoint's directory: maps the names of our tensors to those in the files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2Config

from engine.codec.config import read_config
from engine.codec.features import FEATURE_LAYERS, SpeechFeatures
from engine.codec.network import CodecNetwork
from engine.codec.weights import fill, fold_weight_norm, read_pickle, read_safetensors, require, unreadable
from engine.errors import CheckpointError

CODEC_DIRECTORY = "BiCodec"
FEATURES_DIRECTORY = "wav2vec2-large-xlsr-53"

CODEC_NAMES = (  # our name, the checkpoint's
    (r"^encoder\.backbone\.", "encoder.encoder."),
    (r"^prenet\.backbone\.", "prenet.vocos_backbone."),
    (r"\.stages\.(\d+)\.", r".downsample.\1.1."),
    (r"\.ecapa\.", ".speaker_encoder."),
    (r"\.resampler\.", ".perceiver_sampler."),
    (r"\.layers\.(\d+)\.attention\.", r".layers.\1.0."),
    (r"\.layers\.(\d+)\.feed_forward\.", r".layers.\1.1."),
)
CODEC_UNUSED = re.compile(  # for training: the auxiliary decoder, the x-vector head, the codebook's usage
    r"postnet\.|speaker_encoder\.speaker_encoder\.(pool|bn|linear)\.|quantizer\.cluster_size$"
)
FEATURES_UNUSED = re.compile(  # the heads and the mask of pre-training, and the norm after the last layer
    r"quantizer\.|project_q\.|project_hid\.|(wav2vec2\.)?(masked_spec_embed$|encoder\.layer_norm\.)"
)
ENCODER_LAYER = re.compile(r"(?:wav2vec2\.)?encoder\.layers\.(\d+)\.")


def load_network(checkpoint: Path) -> CodecNetwork:
    """Load BiCodec's own networks, float32 on the CPU; raises CheckpointError."""
    config = read_config(checkpoint / CODEC_DIRECTORY / "config.yaml")
    file = checkpoint / CODEC_DIRECTORY / "model.safetensors"
    tensors = fold_weight_norm(read_safetensors(file), file)
    with torch.device("meta"):  # no memory and no initialisation for weights that are replaced
        network = CodecNetwork(config)
    fill(network, tensors, file, codec_name, lambda name: CODEC_UNUSED.match(name) is not None)
    return network


def load_features(checkpoint: Path) -> SpeechFeatures:
    """Load wav2vec2 up to the last layer in use, float32 on the CPU; raises CheckpointError."""
    directory = checkpoint / FEATURES_DIRECTORY
    config = read_wav2vec2_config(directory / "config.json")
    file = directory / "pytorch_model.bin"
    tensors = read_pickle(file)
    with torch.device("meta"):
        features = SpeechFeatures(config)
    # A pre-training checkpoint has a prefix before the model's names. Older releases of torch named the parameters of
    # weight norm differently.
    prefix = "wav2vec2." if any(name.startswith("wav2vec2.") for name in tensors) else ""
    older = f"{prefix}encoder.pos_conv_embed.conv.weight_g" in tensors

    def file_name(name: str) -> str:
        if older:
            name = name.replace("parametrizations.weight.original0", "weight_g")
            name = name.replace("parametrizations.weight.original1", "weight_v")
        return prefix + name

    def unused(name: str) -> bool:
        layer = ENCODER_LAYER.match(name)
        return int(layer[1]) >= FEATURE_LAYERS[-1] if layer else FEATURES_UNUSED.match(name) is not None

    fill(features.wav2vec2, tensors, file, file_name, unused)
    return features.eval()


def codec_name(name: str) -> str:
    """The name in the checkpoint of one of our tensors."""
    for ours, theirs in CODEC_NAMES:
        name = re.sub(ours, theirs, name)
    return name


def read_wav2vec2_config(file: Path) -> Wav2Vec2Config:
    """Read wav2vec2's configuration, limited to the layers in use; raises CheckpointError."""
    require(file)
    last = FEATURE_LAYERS[-1]
    overrides: dict[str, Any] = {
        "num_hidden_layers": last,
        "mask_time_prob": 0.0,  # masking is for training
        "mask_feature_prob": 0.0,
        "attn_implementation": "sdpa",
    }
    try:
        content = json.loads(file.read_text())
        full = Wav2Vec2Config.from_dict(content)
        config = Wav2Vec2Config.from_dict(content | overrides)
    except Exception as error:  # transformers raises many types for wrong values
        raise unreadable(file, "wav2vec2 configuration", error) from error
    needs = {
        f"num_hidden_layers must be {last} or more": full.num_hidden_layers >= last,
        "do_stable_layer_norm must be true": config.do_stable_layer_norm,
        'feat_extract_norm must be "layer"': config.feat_extract_norm == "layer",
    }
    for need, holds in needs.items():
        if not holds:
            raise CheckpointError(f"{file}: {need}")
    return config
