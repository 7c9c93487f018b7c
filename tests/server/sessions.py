"""Sessions of /v1/audio/speech/stream, as tests have them: the messages that are sent, and those of one turn."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from tests.server.conftest import Server
from tests.server.fakes import BODY, ready
from tests.waiting import NEVER, wait_until

TEXT = "The first sentence is here, my friends. The second one is a little longer. And a third, to end with."
CONFIG = {"type": "session.config", "response_format": "pcm", "stream_audio": True, "max_tokens": 10, "seed": 3}

Serve = Callable[[FastAPI], Server]


@dataclass
class Heard:
    """All messages of one turn."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    audio: list[bytes] = field(default_factory=list)  # binary messages
    units: list[bytes] = field(default_factory=list)  # of each sentence

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def done(self) -> dict[str, Any]:
        return self.messages[-1]


async def receive(client: ClientConnection, last: str = "session.done", units: Sequence[bytes] = ()) -> Heard:
    """Messages up to the one of this type; `units` have the audio of sentences that have begun before."""
    heard = Heard(units=list(units))
    async with asyncio.timeout(60):
        while True:
            message = await client.recv()
            if isinstance(message, bytes):
                heard.audio.append(message)
                heard.units[-1] += message
                continue
            heard.messages.append(json.loads(message))
            if heard.messages[-1]["type"] == "audio.start":
                heard.units.append(b"")
            if heard.messages[-1]["type"] == last:
                return heard


async def send(client: ClientConnection, *messages: dict[str, Any]) -> None:
    for message in messages:
        await client.send(json.dumps(message))


def texts(parts: Iterable[str]) -> list[dict[str, Any]]:
    return [{"type": "input.text", "text": part} for part in parts]


DONE = {"type": "input.done"}
CANCEL = {"type": "input.cancel"}
FLUSH = {"type": "input.flush"}


@asynccontextmanager
async def session(
    server: Server, config: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[ClientConnection]:
    address = server.url.replace("http", "ws") + "/v1/audio/speech/stream"
    async with connect(address, **{"open_timeout": NEVER, "ping_timeout": NEVER, **options}) as client:
        await send(client, CONFIG if config is None else config)
        yield client


def started(server: Server) -> Server:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        wait_until(lambda: ready(http))
    return server


def of_one_request(server: Server, **fields: Any) -> bytes:
    """The same text as one request over HTTP."""
    body = BODY | {"input": TEXT, "seed": 3} | fields
    return httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60).raise_for_status().content
