"""Public functions take a path as a str and as a Path."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import EngineConfig, checkpoints, convert
from engine.checkpoints.synthetic import write_checkpoint
from engine.codec import BiCodec
from engine.tokens.vocabulary import Vocabulary

PathType = Callable[[Path], str | Path]


@pytest.fixture(params=[str, Path], ids=["str", "Path"])
def path_type(request: pytest.FixtureRequest) -> PathType:
    kind: PathType = request.param
    return kind


def test_a_checkpoint_is_found_and_checked(path_type: PathType, small_checkpoint: Path) -> None:
    path = path_type(small_checkpoint)
    assert checkpoints.locate(path) == small_checkpoint
    assert checkpoints.missing_files(path) == []
    assert len(checkpoints.fingerprint(path)) == 32
    checkpoints.verify(path)


def test_a_codec_is_loaded(path_type: PathType, small_checkpoint: Path) -> None:
    assert BiCodec.from_checkpoint(path_type(small_checkpoint)).codebook_size == 512


def test_a_vocabulary_is_loaded(path_type: PathType, small_checkpoint: Path) -> None:
    assert Vocabulary(path_type(small_checkpoint / "LLM" / "tokenizer.json")).semantic.count == 512


def test_a_checkpoint_is_written(path_type: PathType, tmp_path: Path) -> None:
    write_checkpoint(path_type(tmp_path / "model"), "small")
    assert checkpoints.missing_files(tmp_path / "model") == []


def test_a_model_is_converted(path_type: PathType, small_checkpoint: Path) -> None:
    assert convert(path_type(small_checkpoint), "q8_0").is_file()


def test_the_settings_name_a_model(path_type: PathType, small_checkpoint: Path) -> None:
    assert EngineConfig(model=path_type(small_checkpoint)).model == str(small_checkpoint)
