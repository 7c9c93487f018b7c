"""Checkpoints as they are published, and damaged ones: one line that names what is wrong, and where."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from engine.codec import BiCodec
from engine.codec.loader import load_features, load_network
from engine.errors import CheckpointError
from tests.engine.codec.conftest import Arrays

Tensors = dict[str, torch.Tensor]
POSITIONS = "encoder.pos_conv_embed.conv"


def codec_files(checkpoint: Path) -> tuple[Path, Path]:
    return checkpoint / "BiCodec" / "config.yaml", checkpoint / "BiCodec" / "model.safetensors"


def features_files(checkpoint: Path) -> tuple[Path, Path]:
    directory = checkpoint / "wav2vec2-large-xlsr-53"
    return directory / "config.json", directory / "pytorch_model.bin"


def change_codec_tensors(checkpoint: Path, change: Callable[[Tensors], Any]) -> None:
    _, file = codec_files(checkpoint)
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def change_codec_config(checkpoint: Path, change: Callable[[Any], Any]) -> None:
    file, _ = codec_files(checkpoint)
    content = yaml.safe_load(file.read_text())
    change(content["audio_tokenizer"])
    file.write_text(yaml.safe_dump(content))


def published_style(tensors: Tensors) -> Tensors:
    """The names of the pre-training checkpoint on the Hub, and the heads that it holds besides."""
    renamed = {
        "wav2vec2."
        + name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in tensors.items()
    }
    heads = ("quantizer.codevectors", "quantizer.weight_proj.weight", "project_q.weight", "project_hid.bias")
    return renamed | {name: torch.ones(3) for name in heads}


def newer_style(tensors: Tensors) -> Tensors:
    return tensors


@pytest.fixture
def plain_tensors(own_checkpoint: Path) -> Tensors:
    """wav2vec2's tensors by the names they have in a model of today."""
    tensors = torch.load(features_files(own_checkpoint)[1], weights_only=True)
    return {
        name.removeprefix("wav2vec2.")
        .replace("weight_g", "parametrizations.weight.original0")
        .replace("weight_v", "parametrizations.weight.original1"): value
        for name, value in tensors.items()
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("style", [published_style, newer_style])
def test_both_key_styles_of_wav2vec2_and_both_formats_load_alike(
    style: Callable[[Tensors], Tensors],
    zipped: bool,
    own_checkpoint: Path,
    plain_tensors: Tensors,
    small_numbers: Arrays,
) -> None:
    assert f"{POSITIONS}.parametrizations.weight.original0" in plain_tensors
    torch.save(style(plain_tensors), features_files(own_checkpoint)[1], _use_new_zipfile_serialization=zipped)
    with torch.inference_mode():
        features, _ = load_features(own_checkpoint)([torch.tensor(small_numbers["wav_16k"])])
    np.testing.assert_allclose(features[0], small_numbers["features"], rtol=0, atol=1e-4)


def test_layers_that_do_not_matter_are_not_built(small_checkpoint: Path) -> None:
    assert json.loads(features_files(small_checkpoint)[0].read_text())["num_hidden_layers"] == 17
    features = load_features(small_checkpoint)
    assert len(features.wav2vec2.encoder.layers) == 16


def test_no_norm_follows_the_last_layer(codec: BiCodec) -> None:
    with torch.inference_mode():
        output = codec.features.wav2vec2(torch.ones(1, 800), output_hidden_states=True)
    assert torch.equal(output.last_hidden_state, output.hidden_states[16])


def test_the_published_configuration_with_its_old_keys_is_read(own_checkpoint: Path) -> None:
    file, _ = features_files(own_checkpoint)
    old = {"feat_extract_dropout": 0.0, "gradient_checkpointing": True, "mask_channel_selection": "static"}
    file.write_text(json.dumps(json.loads(file.read_text()) | old | {"transformers_version": "4.7.0.dev0"}))
    load_features(own_checkpoint)


def test_everything_is_loaded_and_frozen(codec: BiCodec) -> None:
    for part in (codec.features, codec.network):
        assert not part.training
        for tensor in (*part.parameters(), *part.buffers()):
            assert tensor.device.type == "cpu"
            assert not tensor.requires_grad


def test_weight_norm_is_folded(small_checkpoint: Path) -> None:
    tensors = load_file(codec_files(small_checkpoint)[1])
    for name in ("decoder.model.0", "decoder.model.1.block.1"):  # a convolution and a transposed one
        weight = load_network(small_checkpoint).get_submodule(name).get_parameter("weight")
        expected = torch._weight_norm(tensors[f"{name}.weight_v"], tensors[f"{name}.weight_g"], 0)
        torch.testing.assert_close(weight, expected)


@pytest.mark.parametrize(
    "name",
    [
        "BiCodec/config.yaml",
        "BiCodec/model.safetensors",
        "wav2vec2-large-xlsr-53/config.json",
        "wav2vec2-large-xlsr-53/pytorch_model.bin",
    ],
)
class TestDamagedFiles:
    def test_a_missing_file_is_named(self, own_checkpoint: Path, name: str) -> None:
        (own_checkpoint / name).unlink()
        assert_refused(own_checkpoint, f"{name}: no such file")

    def test_a_file_of_something_else_is_named(self, own_checkpoint: Path, name: str) -> None:
        (own_checkpoint / name).write_bytes(b"\x00version https: {[\n" * 20)
        assert_refused(own_checkpoint, f"{name}: cannot be read as")


def test_a_missing_tensor_is_named(own_checkpoint: Path) -> None:
    change_codec_tensors(own_checkpoint, lambda tensors: tensors.pop("encoder.project.weight"))
    assert_refused(
        own_checkpoint, "model.safetensors: tensor encoder.project.weight is missing, expected shape (64, 40)"
    )


def test_a_tensor_is_named_as_the_file_names_it_and_the_others_are_counted(own_checkpoint: Path) -> None:
    def damage(tensors: Tensors) -> None:
        del tensors["encoder.downsample.0.1.norm.weight"]
        tensors["prenet.vocos_backbone.norm.scale.bias"] = torch.zeros(3, 4)
        del tensors["speaker_encoder.perceiver_sampler.layers.0.1.2.bias"]

    change_codec_tensors(own_checkpoint, damage)
    assert_refused(
        own_checkpoint,
        "tensor encoder.downsample.0.1.norm.weight is missing, expected shape (40,) (and 2 more wrong tensors)",
    )


def test_a_misshapen_tensor_is_named(own_checkpoint: Path) -> None:
    def transpose(tensors: Tensors) -> None:
        name = "speaker_encoder.perceiver_sampler.layers.0.1.2.weight"
        tensors[name] = tensors[name].T.contiguous()

    change_codec_tensors(own_checkpoint, transpose)
    name = "speaker_encoder.perceiver_sampler.layers.0.1.2.weight"
    assert_refused(own_checkpoint, f"model.safetensors: tensor {name} has shape (85, 32), expected (32, 85)")


def test_a_broken_pair_of_weight_norm_is_named(own_checkpoint: Path) -> None:
    change_codec_tensors(own_checkpoint, lambda tensors: tensors.pop("decoder.model.0.weight_g"))
    assert_refused(own_checkpoint, "tensor decoder.model.0.weight_g is missing, expected shape (96, 1, 1)")


def test_a_misshapen_direction_of_weight_norm_is_named(own_checkpoint: Path) -> None:
    change_codec_tensors(
        own_checkpoint, lambda tensors: tensors.update({"decoder.model.0.weight_v": torch.ones(96, 7)})
    )
    assert_refused(own_checkpoint, "tensor decoder.model.0.weight_v has shape (96, 7), expected three dimensions")


def test_weights_of_wav2vec2_must_be_at_the_top_of_their_file(own_checkpoint: Path, plain_tensors: Tensors) -> None:
    torch.save({"state_dict": plain_tensors}, features_files(own_checkpoint)[1])
    assert_refused(own_checkpoint, "pytorch_model.bin: cannot be read as torch weights")


def test_an_unknown_tensor_is_named(own_checkpoint: Path) -> None:
    change_codec_tensors(own_checkpoint, lambda tensors: tensors.update({"encoder.extra": torch.zeros(2)}))
    assert_refused(own_checkpoint, "tensor encoder.extra of shape (2,) is unknown")


def test_tensors_that_served_training_need_not_be_there(own_checkpoint: Path) -> None:
    def strip(tensors: Tensors) -> None:
        for name in list(tensors):
            if name.startswith(("postnet.", "speaker_encoder.speaker_encoder.pool.")):
                del tensors[name]

    change_codec_tensors(own_checkpoint, strip)
    load_network(own_checkpoint)


def test_a_missing_tensor_of_wav2vec2_is_named(own_checkpoint: Path, plain_tensors: Tensors) -> None:
    tensors = published_style(plain_tensors)
    del tensors["wav2vec2.encoder.layers.15.final_layer_norm.bias"]
    torch.save(tensors, features_files(own_checkpoint)[1])
    assert_refused(
        own_checkpoint,
        "pytorch_model.bin: tensor wav2vec2.encoder.layers.15.final_layer_norm.bias is missing, expected shape (48,)",
    )


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("encoder", "dropout", 0.1, "audio_tokenizer.encoder.dropout: Extra inputs are not permitted, found 0.1"),
        (
            "encoder",
            "vocos_dim",
            "40",
            "audio_tokenizer.encoder.vocos_dim: Input should be a valid integer, found '40'",
        ),
        ("encoder", "sample_ratios", [1, 2], "audio_tokenizer.encoder.sample_ratios.1: Input should be 1, found 2"),
        ("prenet", "use_tanh_at_final", True, "audio_tokenizer.prenet.use_tanh_at_final: Input should be False"),
        ("decoder", "rates", [8, 5, 4, 4], "decoder.rates must multiply to 320"),
        ("decoder", "kernel_sizes", [16, 10, 8, 4], "decoder.kernel_sizes must each exceed"),
        ("prenet", "condition_dim", 32, "prenet.condition_dim must equal speaker_encoder.out_dim"),
        ("mel_params", "sample_rate", 24_000, "audio_tokenizer.mel_params.sample_rate: Input should be 16000"),
    ],
)
def test_a_wrong_configuration_is_refused(
    own_checkpoint: Path, section: str, key: str, value: object, message: str
) -> None:
    change_codec_config(own_checkpoint, lambda config: config[section].update({key: value}))
    assert_refused(own_checkpoint, message)


def test_a_missing_key_is_named(own_checkpoint: Path) -> None:
    change_codec_config(own_checkpoint, lambda config: config["decoder"].pop("rates"))
    assert_refused(own_checkpoint, "config.yaml: audio_tokenizer.decoder.rates: Field required")


def test_a_configuration_must_be_under_its_key(own_checkpoint: Path) -> None:
    codec_files(own_checkpoint)[0].write_text("encoder: {}\n")
    assert_refused(own_checkpoint, "config.yaml: the key audio_tokenizer is missing")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_hidden_layers", 12, "num_hidden_layers must be 16 or more"),
        ("do_stable_layer_norm", False, "do_stable_layer_norm must be true"),
        ("feat_extract_norm", "group", 'feat_extract_norm must be "layer"'),
        ("hidden_size", "wide", "cannot be read as wav2vec2 configuration"),
    ],
)
def test_a_wav2vec2_of_another_kind_is_refused(own_checkpoint: Path, key: str, value: object, message: str) -> None:
    file, _ = features_files(own_checkpoint)
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    assert_refused(own_checkpoint, f"config.json: {message}")


def assert_refused(checkpoint: Path, message: str) -> None:
    """The codec does not load, and says why in one line."""
    with pytest.raises(CheckpointError) as caught:
        BiCodec.from_checkpoint(checkpoint)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
