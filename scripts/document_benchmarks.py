"""Prints docs/benchmarks.md: `python scripts/document_benchmarks.py > docs/benchmarks.md`.

The page is the files of benchmarks/results/, in the order of their names.
"""

import sys
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def page() -> str:
    """The page's Markdown."""
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(RESULTS.glob("*.md")))


if __name__ == "__main__":
    sys.stdout.write(page())
