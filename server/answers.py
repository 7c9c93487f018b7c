"""The HTTP response to a speech request: streamed audio, events, or one complete file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import numpy as np
from fastapi import Request
from starlette.responses import Response

from engine import AudioChunk, Native, NothingToSay, SpeechEngine, SpeechEvent, SpeechRequest, Usage, expected_seconds
from server.encoding import MEDIA_TYPES, AudioFormat, WholeFile, stream_encoder, whole_file
from server.schemas import Delivery
from server.service import Service
from server.speech_events import warning_header
from server.streaming import Chunks, ClosingResponse, as_audio, as_events, first_chunk_or_disconnect

HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would buffer a stream
SILENCE_SECONDS = 0.2  # the response to a text without words


async def answer(
    request: Request,
    service: Service,
    asked: SpeechRequest,
    chunks: Chunks,
    audio_format: AudioFormat,
    delivery: Delivery,
    headers: dict[str, str],
) -> Response:
    """Return the response with these chunks, after admission as one request of the caller.

    The response begins with the first audio, or with the last if it is one file: errors before it have their own HTTP
    status.
    """
    admitted = service.admit(asked.caller or "", chunks, len(asked.text), expected_seconds(asked))
    chunks = service.metrics.observe(asked, admitted)
    headers = HEADERS | headers
    media_type, rate = MEDIA_TYPES[audio_format], asked.sample_rate
    if delivery == "whole":
        async with aclosing(_written(chunks, whole_file(service.encoders, audio_format, rate))) as written:
            data, events = await first_chunk_or_disconnect(request, written)
        return Response(data, media_type=media_type, headers=headers | warning_header(events))
    first = await first_chunk_or_disconnect(request, chunks)
    encoder = stream_encoder(service.encoders, audio_format, rate)
    if delivery == "events":
        return ClosingResponse(as_events(first, chunks, encoder), chunks, "text/event-stream", headers)
    return ClosingResponse(as_audio(first, chunks, encoder), chunks, media_type, headers)


async def speech(service: Service, engine: SpeechEngine, asked: SpeechRequest) -> Chunks:
    """Yield the engine's speech, or a short silence if the text has no words, unless the settings make this an error.

    Clients that split a text send pieces without words, and stop at an error.
    """
    try:
        async with aclosing(engine.synthesize(asked)) as chunks:
            async for chunk in chunks:
                yield chunk
    except NothingToSay:
        if service.settings.speak_nothing == "error":
            raise
        yield AudioChunk(np.zeros(round(SILENCE_SECONDS * asked.sample_rate), np.float32), Usage())


async def _written(
    chunks: Chunks, file: Native[WholeFile]
) -> AsyncGenerator[tuple[bytes, tuple[SpeechEvent, ...]], None]:
    """All of the chunks as one file, and their events. It is written as they come: a long one would hold up others."""
    async with aclosing(chunks):
        first = await anext(chunks)
        events = first.events
        async with file:
            await file.run(WholeFile.write, first.samples)
            async for chunk in chunks:
                events += chunk.events
                await file.run(WholeFile.write, chunk.samples)
            yield await file.run(WholeFile.close), events
