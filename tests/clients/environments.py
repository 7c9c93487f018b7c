"""The clients' environments of `make clients`. Each client has its own: they pin conflicting dependencies."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
WYOMING = ROOT / ".venv-wyoming" / "bin" / "python"  # wyoming-openai needs Python 3.12
NODE = ROOT / "tests" / "clients" / "node" / "node_modules"
PYTHON_SCRIPTS = ("openai_sdk", "litellm_speech", "livekit_tts", "pipecat_tts", "agents_voice", "aiohttp_status")


def program(path: Path) -> Path:
    """The path, if it is there; else the test is skipped, which says how to get it."""
    if not path.exists():
        pytest.skip(f"no {path.relative_to(ROOT)}: `make clients` installs the clients")
    return path
