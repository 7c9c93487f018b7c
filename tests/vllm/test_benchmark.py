"""The benchmark of vLLM runs on the small checkpoint."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.llm.remote.contract import wider_heads


@pytest.mark.timeout(600)
def test_it_measures_both_sides(small_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = wider_heads(small_checkpoint, tmp_path / "small")
    command = [sys.executable, "-m", "benchmarks.vllm", str(checkpoint), "--steps", "2", "--width", "1"]
    result = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    rates = json.loads(result.stdout.splitlines()[-1])
    assert set(rates) == {"float32", "float32, whole head"}
    assert all(rate > 0 for [rate] in rates.values())
