"""What becomes of the chunks when a response ends early, without sockets."""

from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from engine import AudioChunk, Usage
from server.encoding import stream_encoder
from server.streaming import ClosingResponse, as_audio

SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}}


class Chunks:
    """Three chunks of silence, which note that they were closed."""

    def __init__(self) -> None:
        self.closed = False

    async def generate(self) -> AsyncGenerator[AudioChunk, None]:
        try:
            for n in range(3):
                yield AudioChunk(np.zeros(100, np.float32), Usage(1, n))
        finally:
            self.closed = True


async def receive() -> Message:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize("leaves_at", [1, 2, 3])
async def test_a_client_that_leaves_at_any_message_closes_the_chunks(leaves_at: int) -> None:
    chunks, sent = Chunks(), []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == leaves_at:
            raise OSError("the connection is gone")

    generator = chunks.generate()
    first = await anext(generator)
    with ThreadPoolExecutor() as threads:
        body = as_audio(first, generator, stream_encoder(threads, "pcm", 24_000))
        with pytest.raises(ClientDisconnect):
            await ClosingResponse(body, generator, "audio/pcm")(SCOPE, receive, send)
    assert chunks.closed
