"""Unmodified clients, in their own environments (`make clients`), with the real server."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.environments import NODE, PYTHON, PYTHON_SCRIPTS, WYOMING, program
from tests.server.conftest import Server

HERE = Path(__file__).parent


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(autouse=True)
def nothing_left(server: Server) -> Iterator[None]:
    """After each client the server is alive, and holds no request of it."""
    yield
    with httpx.Client(base_url=server.url, timeout=240) as http:
        assert http.get("/health/ready").status_code == 200


@pytest.mark.parametrize("script", PYTHON_SCRIPTS)
def test_python_clients(server: Server, script: str) -> None:
    run(program(PYTHON), HERE / "python" / f"{script}.py", server.url)


def test_wyoming_openai_finds_the_voices_and_speaks(server: Server) -> None:
    run(program(WYOMING), HERE / "python" / "wyoming_proxy.py", server.url)


@pytest.mark.parametrize("script", ["openai", "vercel"])
def test_javascript_clients(server: Server, script: str) -> None:
    program(NODE)
    run("node", HERE / "node" / f"{script}.mjs", server.url)


def test_javas_own_client(server: Server) -> None:
    if shutil.which("java") is None:
        pytest.skip("no java: install Debian's default-jdk-headless")
    run("java", HERE / "java" / "Speak.java", server.url)
