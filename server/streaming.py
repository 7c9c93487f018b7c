"""Response bodies from chunks of samples: audio bytes or server-sent events. A disconnect aborts the generation."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from engine import AudioChunk, EngineError, Native
from server.encoding import Encoder
from server.errors import error_body
from server.schemas import ErrorResponse, SpeechAudioDelta, SpeechAudioDone, SpeechUsage
from server.speech_events import event_model

logger = logging.getLogger(__name__)

Chunks = AsyncGenerator[AudioChunk, None]
Item = TypeVar("Item")


async def first_chunk_or_disconnect(request: Request, chunks: AsyncGenerator[Item, None]) -> Item:
    """Return the first chunk. If the client disconnects before it, abort the work and raise ClientDisconnect."""
    first = asyncio.ensure_future(anext(chunks))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((first, gone), return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            raise ClientDisconnect
        return first.result()
    finally:
        for task in (first, gone):
            task.cancel()
        await asyncio.gather(first, gone, return_exceptions=True)
        if first.cancelled() or first.exception():
            await chunks.aclose()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class ClosingResponse(StreamingResponse):
    """A response that always closes its body and the chunks of the body.

    Otherwise, a body that was never started would not close its chunks, and a body whose client has disconnected would
    stay open until garbage collection.
    """

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        chunks: Chunks,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._body = body
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._body.aclose()
            await self._chunks.aclose()


async def as_audio(first: AudioChunk, chunks: Chunks, encoder: Native[Encoder]) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of one audio file.

    An engine error is raised, which closes the connection: clients can distinguish this from the end of the response.
    """
    async with aclosing(_encoded(first, chunks, encoder)) as encoded:
        async for data, _ in encoded:
            if data:
                yield data


async def as_events(first: AudioChunk, chunks: Chunks, encoder: Native[Encoder]) -> AsyncGenerator[bytes, None]:
    """Yield OpenAI's events: the audio bytes in base64, then the usage. Engine events and errors become events too."""
    usage = first.usage
    try:
        async with aclosing(_encoded(first, chunks, encoder)) as encoded:
            async for data, chunk in encoded:
                usage = chunk.usage
                if data:
                    delta = SpeechAudioDelta(audio=base64.b64encode(data).decode())
                    yield format_sse_event(data_str=delta.model_dump_json())
                for event in chunk.events:
                    yield format_sse_event(data_str=event_model(event).model_dump_json())
    except EngineError as error:
        logger.error("A stream of events failed", exc_info=error)
        body = ErrorResponse(error=error_body(error)[1])
        yield format_sse_event(event="error", data_str=body.model_dump_json())
        return
    total = usage.input_tokens + usage.output_tokens
    spent = SpeechUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, total_tokens=total)
    yield format_sse_event(data_str=SpeechAudioDone(usage=spent).model_dump_json())


async def _encoded(
    first: AudioChunk, chunks: Chunks, encoder: Native[Encoder]
) -> AsyncGenerator[tuple[bytes, AudioChunk], None]:
    """Yield each chunk with its bytes, then the encoder's last bytes with a chunk that has nothing new."""

    async def encode(chunk: AudioChunk) -> tuple[bytes, AudioChunk]:
        data = await encoder.run(lambda encoder: encoder.encode(chunk.samples))
        return data + (await encoder.run(Encoder.close) if chunk.last else b""), chunk

    async with encoder:
        chunk = first
        yield await encode(chunk)
        async for chunk in chunks:
            yield await encode(chunk)
        yield await encoder.run(Encoder.close), replace(chunk, events=())
