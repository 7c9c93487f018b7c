"""Runs the command `fast-spark`."""

import os
import subprocess

from tests.server.conftest import COMMAND
from tests.waiting import SECONDS


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment},
    )


def refused(*arguments: str, **environment: str) -> str:
    """The one line that a refusal prints."""
    result = run(*arguments, **environment)
    assert result.returncode == 1, result
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("fast-spark: ")
    return lines[0]
