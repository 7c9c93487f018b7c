"""POST /v1/audio/speech: text in, speech out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from server.auth import CallerDependency
from server.encoding import MEDIA_TYPES, stream_encoder
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
    chunks = service.metrics.observe(asked, service.admit(caller, engine.synthesize(asked), len(asked.text)))
    first = await first_chunk_or_disconnect(request, chunks)
    encoder = stream_encoder(service.encoders, body.response_format, body.sample_rate)
    if body.stream_format == "sse":
        return ClosingResponse(as_events(first, chunks, encoder), chunks, "text/event-stream")
    return ClosingResponse(as_audio(first, chunks, encoder), chunks, MEDIA_TYPES[body.response_format])
