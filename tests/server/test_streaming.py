"""Chunks are closed when a response ends early, tested without sockets."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import numpy as np
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from engine import AudioChunk, Native, Samples, Usage
from server.encoding import Encoder, stream_encoder
from server.streaming import ClosingResponse, as_audio, as_events
from tests.waiting import NEVER

Body = Callable[[AudioChunk, AsyncGenerator[AudioChunk, None], Native[Encoder]], AsyncGenerator[bytes, None]]

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


class SlowEncoder(Encoder):
    """Stays in the call of number `held` until it may go, and notes who comes meanwhile."""

    def __init__(self, held: int) -> None:
        self.inside, self.may_go = threading.Event(), threading.Event()
        self.overlapped = False
        self.closings: list[threading.Thread] = []
        self._held = held
        self._calls = 0
        self._busy = False

    def encode(self, samples: Samples) -> bytes:
        self.overlapped |= self._busy
        self._busy = True
        self._calls += 1
        if self._calls == self._held:
            self.inside.set()
            assert self.may_go.wait(NEVER)
        self._busy = False
        return b"audio"

    def close(self) -> bytes:
        self.overlapped |= self._busy
        self.closings.append(threading.current_thread())
        return b"end"


@pytest.mark.parametrize("body", [as_audio, as_events])
@pytest.mark.parametrize("held", [1, 2, 3])
async def test_an_encoder_is_closed_in_its_thread_and_not_under_a_call_when_its_listener_leaves(
    body: Body, held: int
) -> None:
    encoder = SlowEncoder(held)
    generator = Chunks().generate()
    first = await anext(generator)
    with ThreadPoolExecutor() as threads:
        encoded = body(first, generator, Native(threads, lambda: encoder, SlowEncoder.close))

        async def listen() -> None:
            async with aclosing(encoded):
                async for _ in encoded:
                    pass

        listener = asyncio.create_task(listen())
        await asyncio.to_thread(encoder.inside.wait, NEVER)
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        encoder.may_go.set()
    assert not encoder.overlapped
    assert len(encoder.closings) == 1
    assert encoder.closings[0] is not threading.current_thread()
