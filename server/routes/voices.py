"""/v1/audio/voices: cloned, created and built-in voices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Response

from engine import SAMPLE_TYPES, Voice
from server.auth import CallerDependency
from server.json_body import JsonRoute
from server.service import EngineDependency, ServiceDependency
from server.uploads import read_upload
from server.voice_schemas import (
    CreateVoiceForm,
    UpdateVoiceRequest,
    VoiceDeleted,
    VoiceDetails,
    VoiceList,
    VoicePageDependency,
    VoiceResource,
)

router = APIRouter(prefix="/audio/voices", tags=["Audio"], route_class=JsonRoute)

EVERY_VOICE = 10**9
"""A page size that is larger than any voice store."""


@router.post("", response_model_exclude_none=True)
async def create_voice(
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
    form: Annotated[CreateVoiceForm, Form(media_type="multipart/form-data")],
) -> VoiceResource:
    """Make a cloned voice or a created voice. It is stored, and can be used immediately, by its name or id."""
    making: Callable[..., Awaitable[Voice]]
    if tokens := form.tokens():
        making = partial(engine.voices.add_tokens, form.name, tokens, consent=form.consent)
    elif attributes := form.attributes():
        making = partial(engine.voices.create, form.name, attributes)
    else:
        sample = await read_upload(form.audio_sample, "audio_sample", service.settings.max_upload_bytes)
        making = partial(engine.voices.add, form.name, sample, form.transcript, consent=form.consent)
    common = partial(
        making,
        caller=caller,
        private=form.scope == "private",
        text_prefix=form.text_prefix or "",
        language=form.language,
    )
    return VoiceResource.of(await service.run(caller, common))


@router.get("", response_model_exclude_none=True)
async def list_voices(engine: EngineDependency, caller: CallerDependency, page: VoicePageDependency) -> VoiceList:
    """List the built-in voices, then the voices of users (created and cloned), oldest first."""
    everything = await engine.voices.list(caller, limit=EVERY_VOICE)
    return VoiceList.seen_by(caller, await engine.voices.list(caller, page.after, page.limit), everything.items)


@router.get("/{voice_id}", response_model_exclude_none=True)
async def get_voice(voice_id: str, engine: EngineDependency, caller: CallerDependency) -> VoiceDetails:
    """Return one voice."""
    return VoiceDetails.seen_by(caller, await engine.voices.get(voice_id, caller))


@router.post("/{voice_id}", response_model_exclude_none=True)
async def update_voice(
    voice_id: str,
    body: UpdateVoiceRequest,
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
) -> VoiceDetails:
    """Change the name of a voice, the transcript of its sample, or its language."""
    changing = partial(
        engine.voices.change,
        voice_id,
        caller,
        name=body.name,
        transcript=body.transcript,
        language=body.language,
    )
    return VoiceDetails.seen_by(caller, await service.run(caller, changing))


@router.get(
    "/{voice_id}/sample",
    response_class=Response,
    responses={200: {"description": "The uploaded file", "content": {name: {} for name in SAMPLE_TYPES}}},
)
async def get_sample(voice_id: str, engine: EngineDependency, caller: CallerDependency) -> Response:
    """Return the sample of a cloned voice. Only its owner can read it."""
    recording = await engine.voices.sample(voice_id, caller)
    # A user uploaded the file, and it can contain more than audio: browsers must not display it.
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(recording.data, media_type=recording.media_type, headers=headers)


@router.delete("/{voice_id}")
async def delete_voice(voice_id: str, engine: EngineDependency, caller: CallerDependency) -> VoiceDeleted:
    """Delete a created or cloned voice."""
    await engine.voices.delete(voice_id, caller)
    return VoiceDeleted(id=voice_id)
