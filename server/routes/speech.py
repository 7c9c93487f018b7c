"""POST /v1/audio/speech: text in, speech out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.answers import answer, speech
from server.auth import CallerDependency
from server.client_fields import ignored_header
from server.encoding import MEDIA_TYPES
from server.json_body import JsonRoute
from server.schemas import CreateSpeechRequest
from server.script_schemas import SpokenAudio
from server.service import EngineDependency, ServiceDependency

router = APIRouter(prefix="/audio/speech", tags=["Audio"], route_class=JsonRoute)


@router.post(
    "",
    response_class=Response,
    responses={
        200: {
            "description": "The audio, a stream of events with the audio, or the audio and its times as JSON",
            "content": {media_type: {} for media_type in (*MEDIA_TYPES.values(), "text/event-stream")},
            "model": SpokenAudio,
        },
    },
)
async def create_speech(
    request: Request,
    body: CreateSpeechRequest,
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
) -> Response:
    """Speak a text. The response begins with the first audio; errors before it have their own HTTP status."""
    service.check_model(body.model)
    headers = ignored_header(body.ignored(service.settings.unknown_fields))
    asked = body.to_engine(caller)
    chunks = speech(service, engine, asked)
    return await answer(request, service, asked, chunks, body.encoding, body.delivery, headers)
