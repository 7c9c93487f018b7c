"""Compiled activations give what the others give, for every shape."""

import os
from pathlib import Path

import pytest
import torch

from engine.codec import kernels
from engine.codec.activation import Residual, Snake
from engine.config import Precision


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_activations(precision: Precision, tmp_path: Path) -> None:
    if torch.backends.cpu.get_cpu_capability() not in kernels.WIDTHS:
        pytest.skip("the CPU has neither AVX2 nor AVX-512")
    assert kernels.load(precision, [tmp_path]) is None
    assert kernels.build(precision, tmp_path, seconds=390)
    fused = kernels.load(precision, [tmp_path / "elsewhere", tmp_path])
    assert fused is not None
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
