"""docs/configuration.md is what the settings' models say today."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    script = ROOT / "scripts" / "document_settings.py"
    written = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True).stdout
    assert written == (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"), (
        "run: python scripts/document_settings.py > docs/configuration.md"
    )
