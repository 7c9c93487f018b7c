"""The HTTP response to a speech request: streamed audio, events, or one complete file."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import numpy as np
from fastapi import Request
from starlette.responses import Response

from engine import (
    AudioChunk,
    IgnoredMarkup,
    MarkTime,
    Native,
    NothingToSay,
    SpeechEngine,
    SpeechEvent,
    SpeechRequest,
    Usage,
    expected_seconds,
)
from server.client_fields import foreign_header, names_header
from server.encoding import MEDIA_TYPES, AudioFormat, WholeFile, stream_encoder, whole_file
from server.schemas import Delivery
from server.script_schemas import MarkTimestamp, SpokenAudio
from server.service import Service
from server.speech_events import event_model, spoken_sentences, warning_header
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
    headers = HEADERS | headers | foreign_header(asked.text, service.engine.languages)
    media_type, rate = MEDIA_TYPES[audio_format], asked.sample_rate
    if delivery in ("whole", "json"):
        async with aclosing(_written(chunks, whole_file(service.encoders, audio_format, rate))) as written:
            file = await first_chunk_or_disconnect(request, written)
        headers |= ignored_elements(file.events) | warning_header(file.events)
        if delivery == "json":
            return Response(file.as_json(audio_format, rate), media_type="application/json", headers=headers)
        return Response(file.data, media_type=media_type, headers=headers)
    first = await first_chunk_or_disconnect(request, chunks)
    headers |= ignored_elements(first.events)
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


@dataclass(frozen=True, slots=True)
class _Whole:
    """A file, and what the engine says about it."""

    data: bytes
    samples: int
    events: tuple[SpeechEvent, ...]

    def as_json(self, audio_format: AudioFormat, sample_rate: int) -> str:
        """The body of `response_format: json`."""
        marks = [event_model(event) for event in self.events if isinstance(event, MarkTime)]
        return SpokenAudio(
            audio=base64.b64encode(self.data).decode(),
            format=audio_format,
            sample_rate=sample_rate,
            seconds=self.samples / sample_rate,
            timestamps=spoken_sentences(self.events),
            marks=[mark for mark in marks if isinstance(mark, MarkTimestamp)],
            ignored_elements=_ignored(self.events),
        ).model_dump_json()


async def _written(chunks: Chunks, file: Native[WholeFile]) -> AsyncGenerator[_Whole, None]:
    """All of the chunks as one file. It is written as they come: a long one would hold up others' at the end."""
    async with aclosing(chunks):
        chunk = await anext(chunks)
        samples, events = chunk.samples.size, list(chunk.events)
        async with file:
            await file.run(WholeFile.write, chunk.samples)
            async for chunk in chunks:
                events += chunk.events
                await file.run(WholeFile.write, chunk.samples)
                samples += chunk.samples.size
            yield _Whole(await file.run(WholeFile.close), samples, tuple(events))


def ignored_elements(events: Iterable[SpeechEvent]) -> dict[str, str]:
    """Return the header with the names of SSML that has no effect."""
    return names_header("X-Ignored-Elements", _ignored(events))


def _ignored(events: Iterable[SpeechEvent]) -> list[str]:
    return [name for event in events if isinstance(event, IgnoredMarkup) for name in event.names]
