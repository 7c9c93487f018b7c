"""A server of fakes with an endpoint that blocks its event loop; its modules are loaded once, and it is forked."""

import logging
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn

from engine.vocabulary import Vocabulary
from server.settings import Settings
from tests.server.fakes import Fakes


def run(tokenizer: Path, directory: Path, seconds: float, port: Connection) -> None:
    """Serve with a watchdog of so many seconds; what the process prints is in `directory`/log."""
    log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 2)
    logging.basicConfig()

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()
            port.send(self.servers[0].sockets[0].getsockname()[1])

    app = Fakes(Vocabulary(tokenizer), directory, Settings(watchdog_seconds=seconds)).app

    @app.post("/wait")
    async def wait() -> None:
        threading.Event().wait()

    @app.post("/spin")
    async def spin() -> None:
        sum(range(10**15))  # in C, with the interpreter's lock: no other thread runs

    Server(uvicorn.Config(app, port=0, log_config=None)).run()
