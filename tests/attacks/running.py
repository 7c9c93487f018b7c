"""Helpers for attacks on a running server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.server.conftest import Server

SHORT = {"model": "tts-1", "voice": "alloy", "input": "Hi.", "response_format": "pcm", "max_tokens": 5, "seed": 0}


@dataclass(frozen=True)
class Attacked(Server):
    """A server, and the directory that its voices are in."""

    directory: Path

    def speaks(self) -> bool:
        """Whether it still answers a small request as it should."""
        answer = httpx.post(f"{self.url}/v1/audio/speech", json=SHORT, timeout=60)
        return answer.status_code == 200 and len(answer.content) > 1000


def settings_file(directory: Path, engine: dict[str, Any] | None = None, **settings: Any) -> Path:
    """Settings of a server that keeps its voices in this directory.

    It computes on one core: with more, whatever else the machine does makes every step wait.
    """
    file = directory / "settings.yaml"
    engine = {"data_directory": str(directory), "threads": 1, **(engine or {})}
    file.write_text(yaml.safe_dump({"deadline_seconds": 600, **settings, "engine": engine}))
    return file
