"""POST /v1/audio/speech: text in, speech out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from engine import expected_seconds
from server.auth import CallerDependency
from server.encoding import MEDIA_TYPES
from server.schemas import CreateSpeechRequest
from server.service import EngineDependency, ServiceDependency
from server.streaming import ClosingResponse, as_audio, as_events, first_chunk_or_disconnect

router = APIRouter(prefix="/audio/speech", tags=["Audio"])


@router.post(
    "",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The audio, or a stream of events with it",
            "content": {media_type: {} for media_type in (*MEDIA_TYPES.values(), "text/event-stream")},
        },
    },
)
async def create_speech(
    request: Request,
    body: CreateSpeechRequest,
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
) -> StreamingResponse:
    """Speak a text. The answer begins when the first audio exists: what is wrong before has a status of its own."""
    service.check_model(body.model)
    asked = body.to_engine(caller)
    speech = service.admit(caller, engine.synthesize(asked), len(asked.text), expected_seconds(asked))
    chunks = service.metrics.observe(asked, speech)
    first = await first_chunk_or_disconnect(request, chunks)
    if body.stream_format == "sse":
        events = as_events(first, chunks, body.response_format, body.sample_rate)
        return ClosingResponse(events, chunks, "text/event-stream")
    audio = as_audio(first, chunks, body.response_format, body.sample_rate)
    return ClosingResponse(audio, chunks, MEDIA_TYPES[body.response_format])
