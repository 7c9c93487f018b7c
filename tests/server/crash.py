"""A server with a fake engine and the real store, for tests that kill it. It is forked after the imports."""

from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn

from engine.tokens.vocabulary import Vocabulary
from tests.server.fakes import Fakes


def run(tokenizer: Path, directory: Path, port: Connection) -> None:
    """Serve until it is killed; send the port's number once it is open."""

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()
            port.send(self.servers[0].sockets[0].getsockname()[1])

    app = Fakes(Vocabulary(tokenizer), directory).app
    Server(uvicorn.Config(app, port=0, log_config=None)).run()
