"""Each benchmark script runs on the small checkpoint. Its figures mean nothing there."""

import json
import os
import re
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest
import torch

from demo.hearing import PYTHON

ROOT = Path(__file__).parents[2]


def output_of(script: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"benchmarks.{script}", *arguments]
    environment = os.environ | {
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }  # wide tables; one thread, as it is quicker here
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_windows() -> None:
    assert "no underrun from" in output_of("windows")


@pytest.mark.slow
def test_codec(small_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "host.md"
    printed = output_of("codec", str(small_checkpoint), "--frames", "24", "--rounds", "1", "--record", str(file))
    for form in ("wave generator", "published form, float32", "published form, bfloat16", "ours, float32"):
        assert form in printed
    assert "100.0%" in printed  # the encoder in float32 gives the golden tokens
    recorded = file.read_text()
    assert "| form | 24 frames | signal to noise |\n| --- | --- | --- |\n| published form, float32 |" in recorded
    assert f"torch {torch.__version__}" in recorded


@pytest.mark.slow
def test_llm(small_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "host.md"
    arguments = ("--steps", "2", "--width", "1", "--width", "2", "--quantization", "q8_0", "--precision", "float32")
    arguments += ("--record", str(file))
    printed = output_of("llm", str(small_checkpoint), *arguments)
    for backend in ("Llama.generate", "llama-cpp", "torch"):
        assert backend in printed
    assert "Peak memory" in printed
    assert "| backend | weights | 1 together | 4 together | 16 together |" in file.read_text()


@pytest.mark.slow
def test_busy_host() -> None:
    assert "threads, short waits |" in output_of("busy_host", "demo", "--limit", "1")
    first, end = json.loads(output_of("busy_host", "demo", "--sentences", "1", "--only-threads", "1"))
    assert 0 < first < end


@pytest.mark.slow
@pytest.mark.skipif(not find_library("espeak-ng"), reason="the teacher is not installed: apt install libespeak-ng1")
def test_takes() -> None:
    printed = output_of("takes", "faults", "--sentences", "60", "--texts", "4", "--rate", "0.25")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "sentences" in line]
    clean, whole, streamed, unchecked = rows
    assert clean[1:3] == ["60", "0"]
    assert int(whole[2]) == int(streamed[2]) > 5
    assert int(whole[3]) - int(whole[4]) <= int(unchecked[3]) / 5  # heard, and not said
    assert int(unchecked[3]) > 5
    requests, same = (int(number) for number in re.findall(r"(\d+) (?:requests|with the same)", printed))
    assert requests == same


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="the judges are not installed: make listener")
def test_words_are_heard_once(tmp_path: Path) -> None:
    arguments = ("take_words", "--sentences", "2", "--keep", str(tmp_path))
    table = output_of(*arguments)
    rows = [line for line in table.splitlines() if "%" in line]
    assert [row.split("|")[1].strip() for row in rows] == ["0", "2", "2, verified"]
    kept = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    (tmp_path / "2-verified-0-1.json").unlink()  # as if the run had been stopped before
    assert output_of(*arguments).splitlines()[-2:-1] == rows[1:2]
    again = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert {name for name in kept if kept[name] != again[name]} == {"2-verified-0-1.json"}


@pytest.mark.slow
def test_the_cost_of_takes() -> None:
    assert "3 sentences: " in output_of("takes", "cost", "--pairs", "3")
