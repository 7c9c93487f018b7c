"""Servers for tests over real HTTP: the command itself, and apps with a fake engine."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest
import uvicorn
from fastapi import FastAPI

from server.connections import protocols
from tests.waiting import SECONDS

COMMAND = Path(sys.executable).with_name("fast-spark")


@dataclass(frozen=True)
class Server:
    url: str
    log: Path
    pid: int

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)


@contextmanager
def running_command(log: Path, *arguments: str) -> Generator[Server, None, None]:
    """`fast-spark serve` on a free port, from when it says that it is ready until SIGTERM."""
    environment = dict(os.environ)
    if "--model" in arguments:  # a synthetic one, whose noise no take would pass with
        environment |= {"FAST_SPARK_ENGINE__RETAKES": "0"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", "0", *arguments], stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    try:
        yield Server(wait_for_url(process, log), log, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, log.read_text()


def wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Ready at (http://\S+)", log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"the server did not become ready:\n{log.read_text()}")


@pytest.fixture(scope="session")
def one_process(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server as `fast-spark serve` starts it, for tests of its log."""
    log = tmp_path_factory.mktemp("server") / "log"
    with running_command(log, "--model", str(small_checkpoint)) as running:
        yield running
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(
    scope="session", params=["process", pytest.param("cluster", marks=[pytest.mark.slow, pytest.mark.cluster])]
)
def server(
    request: pytest.FixtureRequest, small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The server in one process, and on a cluster: what it promises is the same."""
    if request.param == "process":
        yield request.getfixturevalue("one_process")
        return
    cluster = request.getfixturevalue("ray_machines")
    engine = {"model": str(small_checkpoint), "voices": cluster.database.new_database(), "threads": 1, "retakes": 0}
    cluster.deploy("server.cluster:app", {"engine": engine}, 2)
    log = tmp_path_factory.mktemp("cluster") / "log"
    log.touch()
    yield Server(cluster.url, log, 0)


@pytest.fixture(scope="module")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server as a newcomer starts it."""
    with running_command(tmp_path_factory.mktemp("demo") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def sdk(demo_server: Server) -> openai.OpenAI:
    return demo_server.client()


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return server.client()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=240) as http:
        yield http


@pytest.fixture
def serve() -> Iterator[Callable[[FastAPI], Server]]:
    """Serve an app with uvicorn in a thread, until the test ends."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(serving(app))


@contextmanager
def serving(app: FastAPI) -> Generator[Server, None, None]:
    """An app, served with uvicorn in a thread."""
    service = getattr(app.state, "service", None)
    options = protocols(service.settings) if service else {"http": "h11"}  # a bare app has no settings
    server = uvicorn.Server(uvicorn.Config(app, **options, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Server(f"http://127.0.0.1:{port}", Path("none"), os.getpid())
    finally:
        server.should_exit = True
        thread.join(120)
        assert not thread.is_alive()
