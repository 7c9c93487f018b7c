"""scripts/gpu-report on the small checkpoint and the CPU: what it compares there must agree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "scripts" / "gpu-report"


def report(*arguments: str, python: tuple[str, ...] = (sys.executable,)) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*python, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_table_of_what_agrees_and_how_fast_it_is() -> None:
    done = report("--device", "cpu", "--size", "small", "--streams", "1,2", "--tokens", "60")
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^\| (.+) \| (.+) \|$", done.stdout, re.MULTILINE))
    for shapes in ("exact shapes", "fixed shapes (CUDA graphs)"):
        for precision, least in (("float32", 90), ("bfloat16", 25)):
            ratio = found[f"codec, {precision}, {shapes}: signal to noise against the golden samples"]
            assert float(ratio.split()[0]) > least
        assert found[f"codec, float32, {shapes}: golden semantic and global tokens"] == "100.0%, 100.0%"
    greedy = [value for name, value in found.items() if name.startswith("greedy ids") and "float32" in name]
    assert greedy == ["40 of 40", "40 of 40"]
    assert [name for name in found if name.startswith("2 streams of 1.2 s")]
    assert "failed" not in done.stdout
    assert "not measured" not in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device")
def test_without_cuda_one_line_says_so() -> None:
    done = report()
    assert done.returncode == 1
    assert re.fullmatch(r"There is no CUDA device: torch \S+ finds none. Nothing was measured.\n", done.stderr)


def test_a_missing_library_is_named_in_one_line() -> None:
    done = report(python=(sys.executable, "-S"))
    assert done.returncode == 1
    assert re.fullmatch(r"gpu-report needs \w+: pip install .*\n", done.stderr)
