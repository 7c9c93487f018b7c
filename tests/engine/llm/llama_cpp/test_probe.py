"""The probe's verdicts, with stand-ins for the child that dies, and once with the real one."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.llm.llama_cpp.probe import CHILD, repacking_is_safe
from engine.llm.llama_cpp.runner import LIBRARY
from engine.llm.registry import convert

LIVES = (sys.executable, "-c", "")
DIES_OF_REPACKING = (sys.executable, "-c", "import os, sys; sys.argv[2] == '1' and os.kill(os.getpid(), 11)")
DIES = (sys.executable, "-c", "import os; os.kill(os.getpid(), 11)")


@pytest.mark.parametrize(("child", "safe"), [(LIVES, True), (DIES_OF_REPACKING, False)])
def test_the_verdict_is_the_childs_and_is_remembered(tmp_path: Path, child: Sequence[str], safe: bool) -> None:
    model, library = tmp_path / "model-q8_0.gguf", tmp_path / "lib"
    library.mkdir()
    assert repacking_is_safe(model, library, tmp_path / "verdicts", child) is safe
    assert repacking_is_safe(model, library, tmp_path / "verdicts", DIES) is safe  # not asked again


def test_another_build_is_probed_anew(tmp_path: Path) -> None:
    model, library = tmp_path / "model-q8_0.gguf", tmp_path / "lib"
    library.mkdir()
    built = library / "libggml-cpu.so"
    built.write_bytes(b"with AMX")
    assert not repacking_is_safe(model, library, tmp_path, DIES_OF_REPACKING)
    built.write_bytes(b"without")
    assert repacking_is_safe(model, library, tmp_path, LIVES)


def test_a_damaged_verdict_is_made_anew(tmp_path: Path) -> None:
    assert not repacking_is_safe(tmp_path / "model", tmp_path, tmp_path / "verdicts", DIES_OF_REPACKING)
    [verdict] = (tmp_path / "verdicts").iterdir()
    verdict.write_text("{")
    assert repacking_is_safe(tmp_path / "model", tmp_path, tmp_path / "verdicts", LIVES)


def test_a_verdict_that_cannot_be_kept_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert repacking_is_safe(tmp_path / "model", tmp_path, tmp_path / "file" / "verdicts", LIVES)
    assert "cannot be kept" in caplog.text


def test_a_build_that_dies_either_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"llama\.cpp crashes on this machine.*make llama.*backend: torch"):
        repacking_is_safe(tmp_path / "model", tmp_path, tmp_path / "verdicts", DIES)
    assert not list(tmp_path.glob("verdicts/*"))


def test_this_build_lives_on_this_machine(small_checkpoint: Path, tmp_path: Path) -> None:
    path = convert(small_checkpoint, "q8_0")
    assert repacking_is_safe(path, LIBRARY, tmp_path / "verdicts", CHILD) in (True, False)
