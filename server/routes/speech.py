"""/v1/audio/speech: text in, speech out; as one request, or over a WebSocket while the text is being written."""

from __future__ import annotations

from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import Response

from server.answers import answer, speech
from server.auth import CallerDependency, chosen_protocol
from server.client_fields import ignored_header
from server.encoding import MEDIA_TYPES
from server.json_body import JsonRoute
from server.schemas import CreateSpeechRequest
from server.script_schemas import SpokenAudio
from server.service import EngineDependency, ServiceDependency
from server.speech_events import events_schema
from server.speech_session import SpeechSession

router = APIRouter(prefix="/audio/speech", tags=["Audio"], route_class=JsonRoute)


@router.post(
    "",
    response_class=Response,
    responses={
        200: {
            "description": "The audio, a stream of events with the audio, or the audio and its times as JSON",
            "content": {
                **{media_type: {} for media_type in MEDIA_TYPES.values()},
                "text/event-stream": {"itemSchema": events_schema()},
            },
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


@router.websocket("/stream")
async def stream_speech(websocket: WebSocket, service: ServiceDependency, caller: CallerDependency) -> None:
    """Speak text while it is being written. See docs/script.md for the messages."""
    await websocket.accept(subprotocol=chosen_protocol(websocket))
    await SpeechSession(websocket, service, caller).run()
