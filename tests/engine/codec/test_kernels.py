"""Compiled activations give what the others give, for every shape."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.codec import kernels
from engine.codec.activation import Residual, Snake
from engine.config import Precision


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_activations(precision: Precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.backends.cpu.get_cpu_capability() not in kernels.WIDTHS:
        pytest.skip("the CPU has neither AVX2 nor AVX-512")
    directory, temporary = tmp_path / "kernels", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    assert kernels.load(precision, [directory]) is None
    assert kernels.build(precision, directory, seconds=390)
    assert {file.suffix for file in directory.iterdir()} == {".pt2"}
    fused = kernels.load(precision, [tmp_path / "elsewhere", directory])
    assert fused is not None
    assert not list(temporary.iterdir())  # neither the compiler nor what is loaded leaves anything there
    dtype = getattr(torch, precision)
    torch.manual_seed(0)
    for channels, frames in ((96, 2), (96, 7), (24, 1000), (384, 333)):
        plain, compiled = Snake(channels).requires_grad_(False), Snake(channels).requires_grad_(False)
        compiled.alpha.copy_(plain.alpha.uniform_(0.1, 3))
        compiled.fused = fused
        first, term = torch.randn(2, 1, frames, channels).to(dtype)
        expected, found = Residual(first.clone()), Residual(first.clone())
        for _ in range(3):
            torch.testing.assert_close(found.activate(compiled, dtype), expected.activate(plain, dtype))
            found.add(term.clone())
            expected.add(term.clone())


def test_a_compilation_without_enough_time_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    killed, running = tmp_path / "tmpkilled", tmp_path / "tmprunning"
    for folder in (killed, running):
        folder.mkdir()
        (folder / "function.pt2").write_bytes(b"half of it")
    os.utime(killed, (0, 0))
    assert not kernels.build("float32", tmp_path, seconds=0)
    assert "no time" in caplog.text
    assert list(tmp_path.iterdir()) == [running]  # another server's, which may still compile


def test_compilers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    asked = [str(tmp_path), "float32", torch.backends.cpu.get_cpu_capability(), "1", "snake"]  # for process 1, not this
    done = subprocess.run([sys.executable, "-m", "engine.codec.kernels", *asked], capture_output=True)
    assert done.returncode == 1
    assert not done.stderr


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "file"
    file.touch()
    assert not kernels.build("float32", file / "kernels")
    assert f"cannot be written to {file / 'kernels'}" in caplog.text


def test_a_damaged_file_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    capability = torch.backends.cpu.get_cpu_capability()
    for function in kernels.FUNCTIONS:
        (tmp_path / f"{function}-float32-{capability}-torch{torch.__version__}.pt2".lower()).write_bytes(b"nonsense")
    assert kernels.load("float32", [tmp_path]) is None
    assert "cannot be loaded" in caplog.text


def test_without_a_compiler_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    with caplog.at_level("INFO"):
        assert not kernels.build("float32", tmp_path)
    assert "no C++ compiler" in caplog.text
