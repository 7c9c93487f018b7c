"""Checkpoints: found, made, and told apart."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine import checkpoints
from engine.checkpoints.layout import LAYOUT
from engine.checkpoints.synthetic import write_checkpoint
from engine.config import SPARK_TTS
from engine.errors import CheckpointError
from tests.engine.checkpoints.files import WEIGHTS, make_layout


def test_importing_the_module_imports_no_heavy_library() -> None:
    heavy = "torch", "transformers", "huggingface_hub", "modelscope", "modelscope_hub"
    program = f"import sys, engine.checkpoints.layout; print(*sorted(sys.modules.keys() & {set(heavy)}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_the_demo_comes_along_whole_and_small(cache: Path) -> None:
    directory = checkpoints.locate("demo")
    assert sum(file.stat().st_size for file in directory.rglob("*") if file.suffix != ".gguf") < 25e6
    assert not cache.exists()


def test_a_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    make_layout(tmp_path / "mine")
    assert checkpoints.locate(str(tmp_path / "mine")) == tmp_path / "mine"


def test_a_directory_that_lacks_files_is_refused_by_their_names(tmp_path: Path) -> None:
    make_layout(tmp_path)
    (tmp_path / "BiCodec/model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"checkpoint: BiCodec/model.safetensors is missing\.$"):
        checkpoints.locate(str(tmp_path))
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "LLM/config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config.yaml is missing \(and 2 more\)\.$"):
        checkpoints.verify(tmp_path)


@pytest.mark.parametrize("path", ["/no/such/place", "../elsewhere", "spark"])
def test_an_unknown_path_is_refused_with_what_can_be_given(path: str, cache: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"There is no directory {path}\. .*'demo'.*{SPARK_TTS}"):
        checkpoints.locate(path)


def test_the_models_of_this_machine_are_listed_whole_or_not(cache: Path) -> None:
    assert [name for name, _ in checkpoints.local_models()] == ["demo"]
    make_layout(cache / "models" / "acme--spark-tts")
    (cache / "models" / "beta--half").mkdir()
    (cache / "models" / ".beta--half.lock").touch()
    models = checkpoints.local_models()
    assert [name for name, _ in models] == ["demo", "acme/spark-tts", "beta/half"]
    assert [len(checkpoints.missing_files(directory)) for _, directory in models] == [0, 0, len(LAYOUT)]


def test_a_fingerprint_is_of_the_weights_not_of_the_place(tmp_path: Path) -> None:
    make_layout(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    print_of_one = checkpoints.fingerprint(tmp_path / "one")
    assert checkpoints.fingerprint(tmp_path / "two") == print_of_one

    weights = tmp_path / "two" / WEIGHTS
    whole = weights.read_bytes()
    for changed in (b"?" + whole[1:], whole[:-1] + b"?", whole + b"?"):
        weights.write_bytes(changed)
        assert checkpoints.fingerprint(tmp_path / "two") != print_of_one


def test_an_interrupted_synthesis_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path / "model", "small", interrupt)
    assert not (tmp_path / "model").exists()

    write_checkpoint(tmp_path / "model", "small")
    assert checkpoints.missing_files(tmp_path / "model") == []
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
