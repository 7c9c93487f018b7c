"""Pages that scripts write are up to date."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("script", "page"),
    [("document_settings.py", "configuration.md"), ("document_benchmarks.py", "benchmarks.md")],
)
def test_a_page_is_what_its_script_writes(script: str, page: str) -> None:
    command = [sys.executable, ROOT / "scripts" / script]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert written == (ROOT / "docs" / page).read_text(encoding="utf-8"), f"run: python scripts/{script} > docs/{page}"
