"""From a checkpoint's files to modules with weights: names mapped, weight norm folded, then a strict load."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import Wav2Vec2Config

from engine.codec.config import CodecConfig, read_config
from engine.codec.decoder import Prenet, WaveGenerator
from engine.codec.features import FEATURE_LAYERS, SpeechFeatures
from engine.codec.semantic import CodebookQuantizer, SemanticEncoder
from engine.codec.speaker import SpeakerEncoder
from engine.errors import CheckpointError

CODEC_DIRECTORY = "BiCodec"
FEATURES_DIRECTORY = "wav2vec2-large-xlsr-53"

CODEC_NAMES = (  # our name, the checkpoint's
    (r"^encoder\.backbone\.", "encoder.encoder."),
    (r"^prenet\.backbone\.", "prenet.vocos_backbone."),
    (r"\.stages\.(\d+)\.", r".downsample.\1.1."),
    (r"\.ecapa\.", ".speaker_encoder."),
    (r"\.resampler\.", ".perceiver_sampler."),
)
CODEC_UNUSED = re.compile(  # served training: the auxiliary decoder, the x-vector head, the codebook's usage
    r"postnet\.|speaker_encoder\.speaker_encoder\.(pool|bn|linear)\.|quantizer\.cluster_size$"
)
FEATURES_UNUSED = re.compile(  # pre-training heads, its mask vector; what comes after the last layer in use
    r"quantizer\.|project_q\.|project_hid\.|(wav2vec2\.)?(masked_spec_embed$|encoder\.layer_norm\.)"
)
ENCODER_LAYER = re.compile(r"(?:wav2vec2\.)?encoder\.layers\.(\d+)\.")


class CodecNetwork(nn.Module):
    """The parts of BiCodec, grouped as its checkpoint groups them."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.encoder = SemanticEncoder(config.encoder)
        self.quantizer = CodebookQuantizer(config.quantizer)
        self.speaker_encoder = SpeakerEncoder(config.mel_params, config.speaker_encoder)
        self.prenet = Prenet(config.prenet)
        self.decoder = WaveGenerator(config.decoder)


def load_network(checkpoint: Path) -> CodecNetwork:
    """BiCodec's own networks, float32 on the CPU."""
    config = read_config(checkpoint / CODEC_DIRECTORY / "config.yaml")
    file = checkpoint / CODEC_DIRECTORY / "model.safetensors"
    tensors = fold_weight_norm(read_safetensors(file), file)
    with torch.device("meta"):  # no memory and no random numbers for weights that are about to be replaced
        network = CodecNetwork(config)
    fill(network, tensors, file, codec_name, lambda name: CODEC_UNUSED.match(name) is not None)
    return network


def load_features(checkpoint: Path) -> SpeechFeatures:
    """wav2vec2 as far as it is needed, float32 on the CPU."""
    directory = checkpoint / FEATURES_DIRECTORY
    config = read_wav2vec2_config(directory / "config.json")
    file = directory / "pytorch_model.bin"
    tensors = read_pickle(file)
    with torch.device("meta"):
        features = SpeechFeatures(config)
    # A pre-training checkpoint holds the model under a prefix; older releases of torch named weight norm otherwise.
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
    return features


def codec_name(name: str) -> str:
    """The checkpoint's name for one of our tensors."""
    for ours, theirs in CODEC_NAMES:
        name = re.sub(ours, theirs, name)
    return name


def fill(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    file: Path,
    file_name: Callable[[str], str],
    unused: Callable[[str], bool],
) -> None:
    """Give every tensor of `model` its value; a missing, misshapen or unknown one is an error."""
    wanted = {file_name(name): (name, value) for name, value in model.state_dict().items()}
    state: dict[str, Tensor] = {}
    faults: list[str] = []
    for source, (name, value) in wanted.items():
        found = tensors.get(source)
        if found is None:
            faults.append(f"tensor {source} is missing, expected shape {tuple(value.shape)}")
        elif found.shape != value.shape:
            faults.append(f"tensor {source} has shape {tuple(found.shape)}, expected {tuple(value.shape)}")
        else:
            state[name] = found.to(value.dtype)
    faults += [
        f"tensor {name} of shape {tuple(found.shape)} is unknown, expected none of this name"
        for name, found in tensors.items()
        if name not in wanted and not unused(name)
    ]
    if faults:
        more = f" (and {len(faults) - 1} more tensors at fault)" if len(faults) > 1 else ""
        raise CheckpointError(f"{file}: {faults[0]}{more}; download the checkpoint again")
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)


def fold_weight_norm(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Replace each `weight_g` and `weight_v` by the `weight` they stand for: v's rows, at the lengths in g."""
    folded = {name: value for name, value in tensors.items() if not name.endswith((".weight_g", ".weight_v"))}
    for name, direction in tensors.items():
        if name.endswith(".weight_v"):
            length_name, length_shape = f"{name[:-1]}g", (len(direction), 1, 1)
            length = tensors.get(length_name)
            if length is None or length.shape != length_shape:
                found = "is missing" if length is None else f"has shape {tuple(length.shape)}"
                raise CheckpointError(f"{file}: tensor {length_name} {found}, expected shape {length_shape}")
            norm = torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)
            folded[name.removesuffix("_v")] = direction * (length / norm)
    return folded


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a file, mapped into memory and not yet read."""
    require(file)
    try:
        with safe_open(file, framework="pt") as content:
            return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise unreadable(file, "safetensors", error) from error


def read_pickle(file: Path) -> dict[str, Tensor]:
    """All tensors of a torch file, mapped into memory where its format allows that."""
    require(file)
    try:
        tensors: dict[str, Tensor] = torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    except Exception as error:  # torch.load raises half a dozen unrelated types on a damaged file
        raise unreadable(file, "torch weights", error) from error
    return tensors


def read_wav2vec2_config(file: Path) -> Wav2Vec2Config:
    """wav2vec2's configuration, cut to the layers in use."""
    require(file)
    last = FEATURE_LAYERS[-1]
    overrides: dict[str, Any] = {
        "num_hidden_layers": last,
        "mask_time_prob": 0.0,  # masking serves training
        "mask_feature_prob": 0.0,
        "attn_implementation": "sdpa",
    }
    try:
        content = json.loads(file.read_text())
        full = Wav2Vec2Config.from_dict(content)
        config = Wav2Vec2Config.from_dict(content | overrides)
    except Exception as error:  # whatever transformers makes of a wrong value
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


def require(file: Path) -> None:
    """Refuse a checkpoint without this file."""
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; is this a whole Spark-TTS checkpoint?")


def unreadable(file: Path, kind: str, error: Exception) -> CheckpointError:
    """The error for a file that is there but makes no sense, in one line."""
    return CheckpointError(f"{file}: cannot be read as {kind}: {' '.join(str(error).split()):.200}")
