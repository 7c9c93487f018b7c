"""Damaged or hostile checkpoints: the start fails with one line that names the file, and executes no code from it."""

import asyncio
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from engine import CheckpointError, EngineConfig, EngineError, SpeechEngine, checkpoints
from tests.server.commands import run

LLM, CODEC, FEATURES = "LLM/model.safetensors", "BiCodec/model.safetensors", "wav2vec2-large-xlsr-53/pytorch_model.bin"

PROJECTION = "feature_projection.layer_norm.bias"  # some layers of FEATURES are not used


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the demo model, to be damaged."""
    return Path(shutil.copytree(checkpoints.locate("demo"), tmp_path / "model"))


class Program:
    """Unpickled, it writes a file: a program in the place of weights."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._proof),)


def change(file: Path, name: str, value: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Write another tensor over the first of a file whose name ends so."""
    pickled = file.suffix == ".bin"
    tensors = torch.load(file, weights_only=True) if pickled else safetensors.torch.load_file(file)
    key = next(key for key in sorted(tensors) if key.endswith(name))
    tensors[key] = value(tensors[key]).contiguous()
    torch.save(tensors, file) if pickled else safetensors.torch.save_file(tensors, file)


def with_nan(tensor: torch.Tensor) -> torch.Tensor:
    damaged = tensor.clone()
    damaged.view(-1)[0] = torch.nan
    return damaged


def refusal(model: Path, tmp_path: Path) -> str:
    """What a start with this model ends with, in this process: one line."""

    async def start() -> None:
        engine = SpeechEngine.load(EngineConfig(model=str(model), threads=1, data_directory=tmp_path / "data"))
        try:
            await engine.warm_up()
        finally:
            await engine.close()

    with pytest.raises(EngineError) as caught:
        asyncio.run(start())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [LLM, CODEC, FEATURES])
@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_truncated_file_is_named(model: Path, tmp_path: Path, name: str, share: float) -> None:
    os.truncate(model / name, int((model / name).stat().st_size * share))
    assert name in refusal(model, tmp_path)


@pytest.mark.parametrize(
    ("name", "tensor"), [(LLM, "layers.0.mlp.up_proj.weight"), (CODEC, ".weight"), (FEATURES, PROJECTION)]
)
def test_a_misshapen_tensor_is_named(model: Path, tmp_path: Path, name: str, tensor: str) -> None:
    change(model / name, tensor, lambda found: found[:-1])
    line = refusal(model, tmp_path)
    assert name in line
    assert "shape" in line


@pytest.mark.parametrize(
    ("name", "tensor"),
    [(LLM, "layers.0.mlp.up_proj.weight"), (CODEC, ".bias"), (FEATURES, PROJECTION)],
)
def test_weights_that_are_not_numbers_end_the_start(model: Path, tmp_path: Path, name: str, tensor: str) -> None:
    change(model / name, tensor, with_nan)
    assert "not numbers" in refusal(model, tmp_path)


def test_a_program_in_the_place_of_weights_is_not_run(model: Path, tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    for content in (pickle.dumps(Program(proof)), pickle.dumps({"weight": Program(proof)})):
        (model / FEATURES).write_bytes(content)
        assert FEATURES in refusal(model, tmp_path)
    torch.save({"weight": Program(proof)}, model / FEATURES)
    ended = run("serve", "--port", "0", "--model", str(model))
    line = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert line.startswith("fast-spark: ")
    assert FEATURES in line
    assert "is not run" in line
    assert "weights_only" not in line
    assert not proof.exists()
    pickle.loads(pickle.dumps(Program(proof)))  # the program does work where it is run
    assert proof.exists()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/../../b", "..", "a/..", "./a/b", "a//b", "a/b/c", "a/b\0", "~root/x", "-x/y"]
)
def test_a_name_that_leaves_the_cache_is_no_models_name(name: str) -> None:
    with pytest.raises(CheckpointError):
        checkpoints.locate(name)
    with pytest.raises(CheckpointError):
        checkpoints.download(name, "huggingface")


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "model.safetensors", "nowhere"])
def test_links_to_something_else_are_not_read_as_weights(model: Path, tmp_path: Path, target: str) -> None:
    (model / LLM).unlink()
    (model / LLM).symlink_to(target)
    assert "LLM" in refusal(model, tmp_path)


def test_links_to_files_are_followed(model: Path, tmp_path: Path) -> None:
    """The hub's own cache is links; the model is not copied for each place where it is named."""
    (model / LLM).rename(tmp_path / "weights")
    (model / LLM).symlink_to(tmp_path / "weights")
    assert checkpoints.missing_files(model) == []
    assert checkpoints.locate(model) == model
