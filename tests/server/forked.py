"""A server with a fake engine in a separate process, with endpoints that block its event loop."""

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import uvicorn

from engine.tokens.vocabulary import Vocabulary
from tests.server.fakes import Fakes, patient, ready
from tests.waiting import wait_until


@contextmanager
def started(run: Callable[..., None], *arguments: object) -> Iterator[tuple[BaseProcess, str]]:
    """A process that calls `run` with the arguments and a pipe for its port; its URL; from ready until it is killed."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([run.__module__])
    here, there = processes.Pipe()
    process = processes.Process(target=run, args=(*arguments, there))
    process.start()
    try:
        url = f"http://127.0.0.1:{here.recv()}"
        with httpx.Client(base_url=url, timeout=60) as http:
            wait_until(lambda: ready(http))
        yield process, url
    finally:
        process.kill()
        process.join()


def serving(checkpoint: Path, directory: Path, seconds: float) -> AbstractContextManager[tuple[BaseProcess, str]]:
    """The process and its URL, from when it is ready until it is killed."""
    return started(run, checkpoint / "LLM" / "tokenizer.json", directory, seconds)


def run(tokenizer: Path, directory: Path, seconds: float, port: Connection) -> None:
    """Serve with a watchdog of so many seconds; what the process prints is in `directory`/log."""
    log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 2)
    logging.basicConfig()

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()
            port.send(self.servers[0].sockets[0].getsockname()[1])

    app = Fakes(Vocabulary(tokenizer), directory, patient(watchdog_seconds=seconds)).app

    @app.post("/wait")
    async def wait() -> None:
        threading.Event().wait()

    @app.post("/spin")
    async def spin() -> None:
        sum(range(10**15))  # in C, with the interpreter's lock: no other thread runs

    Server(uvicorn.Config(app, port=0, log_config=None)).run()
