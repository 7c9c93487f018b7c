"""The endpoints of FlashTTS (github.com/HuiResearch/FlashTTS), for its clients. The setting `flashtts` enables them."""

from __future__ import annotations

import base64
import re
import secrets
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import Response

from engine import Format, InvalidRequest, SpeechEngine, SpeechRequest, UnknownVoice, Voice
from server.answers import answer, speech
from server.auth import CallerDependency
from server.encoding import MEDIA_TYPES
from server.flashtts_schemas import (
    AddSpeakerForm,
    CloneRequest,
    DeleteSpeakerForm,
    Info,
    MultiSpeakRequest,
    Role,
    Roles,
    Sampled,
    ServerInfo,
    SpeakRequest,
)
from server.json_body import JsonRoute
from server.routes.voices import EVERY_VOICE
from server.service import EngineDependency, Service, ServiceDependency
from server.streaming import Chunks
from server.uploads import read_upload

router = APIRouter(tags=["FlashTTS"], route_class=JsonRoute)

AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"description": "The audio", "content": {media_type: {} for media_type in MEDIA_TYPES.values()}}
}
ROLE = re.compile(r"\s*<role:([^<>]*)>")


@router.get("/audio_roles")
@router.get("/v1/audio_roles")
async def audio_roles(engine: EngineDependency, caller: CallerDependency) -> Roles:
    """List the names of all voices."""
    return Roles(roles=[voice.name for voice in await _voices(engine, caller)])


@router.get("/server_info")
async def server_info(service: ServiceDependency, engine: EngineDependency, caller: CallerDependency) -> ServerInfo:
    """Return the model's name, the names of all voices, and the sample rate."""
    roles = [voice.name for voice in await _voices(engine, caller)]
    return ServerInfo(info=Info(model=service.settings.model_name, roles=roles))


@router.post("/speak", response_class=Response, responses=AUDIO)
async def speak(
    request: Request,
    body: SpeakRequest,
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
) -> Response:
    """Speak a text in a voice."""
    asked = body.to_engine(body.text, body.name, caller)
    return await _answer(request, service, body, asked, speech(service, engine, asked))


@router.post("/multi_speak", response_class=Response, responses=AUDIO)
async def multi_speak(
    request: Request,
    body: MultiSpeakRequest,
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
) -> Response:
    """Speak a dialogue. `<role:NAME>` selects the voice of the text after it."""
    first = ROLE.match(body.text)
    if first is None:
        raise InvalidRequest("The text must begin with a role, such as <role:female>.", "text")
    asked = replace(body.to_engine(body.text, first[1].strip(), caller), form=Format("dialogue", roles_only=True))
    return await _answer(request, service, body, asked, speech(service, engine, asked))


@router.post("/clone_voice", response_class=Response, responses=AUDIO)
async def clone_voice(
    request: Request,
    form: Annotated[CloneRequest, Form(media_type="multipart/form-data")],
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
) -> Response:
    """Speak a text in the voice of a sample. The sample is not stored."""
    sample = await _sample(service, form.reference_audio_file, form.reference_audio, "reference_audio")
    asked = form.to_engine(form.text, f"clone {secrets.token_hex(8)}", caller)
    chunks = _in_the_voice_of(service, engine, asked, sample, form.reference_text)
    return await _answer(request, service, form, asked, chunks)


@router.post("/add_speaker")
async def add_speaker(
    form: Annotated[AddSpeakerForm, Form(media_type="multipart/form-data")],
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
) -> Role:
    """Add a cloned voice from a sample."""
    sample = await _sample(service, form.audio_file, form.audio, "audio")
    making = partial(engine.voices.add, form.name, sample, form.reference_text, caller=caller)
    return Role(role=(await service.run(caller, making)).name)


@router.post("/delete_speaker")
async def delete_speaker(
    form: Annotated[DeleteSpeakerForm, Form(media_type="multipart/form-data")],
    engine: EngineDependency,
    caller: CallerDependency,
) -> Role:
    """Delete a voice by its name."""
    for voice in await _voices(engine, caller):
        if voice.name == form.name:
            await engine.voices.delete(voice.id, caller)
            return Role(role=voice.name)
    raise UnknownVoice(form.name)


async def _voices(engine: SpeechEngine, caller: str) -> list[Voice]:
    return (await engine.voices.list(caller, limit=EVERY_VOICE)).items


async def _answer(request: Request, service: Service, body: Sampled, asked: SpeechRequest, chunks: Chunks) -> Response:
    return await answer(request, service, asked, chunks, body.response_format, "audio" if body.stream else "whole", {})


async def _sample(service: Service, file: UploadFile | None, text: str | None, param: str) -> bytes:
    """Read a sample from a file or from base64. URLs are not fetched: this would allow server-side request forgery."""
    if file is not None or not text:
        return await read_upload(file, f"{param}_file", service.settings.max_upload_bytes)
    if re.match("https?:", text):
        raise InvalidRequest(f"URLs are not supported: send the audio as {param}_file, or in base64.", param)
    try:
        return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
    except ValueError as error:
        raise InvalidRequest(f"{param} is not base64: {error}.", param) from error


async def _in_the_voice_of(
    service: Service, engine: SpeechEngine, asked: SpeechRequest, sample: bytes, transcript: str | None
) -> Chunks:
    """Speak in a temporary voice, deleted at the end of the request."""
    caller = asked.caller
    voice = await engine.voices.add(asked.voice, sample, transcript, caller=caller, private=bool(caller))
    try:
        async with aclosing(speech(service, engine, replace(asked, voice=voice.id))) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        await engine.voices.delete(voice.id, caller)
