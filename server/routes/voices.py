"""/v1/audio/voices: voices made from samples and from attributes, and the built-in ones."""

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
    PageDependency,
    UpdateVoiceRequest,
    VoiceDeleted,
    VoiceDetails,
    VoiceList,
    VoiceResource,
)

router = APIRouter(prefix="/audio/voices", tags=["Audio"], route_class=JsonRoute)

EVERY_VOICE = 10**9
"""More voices than a store has."""


@router.post("", response_model_exclude_none=True)
async def create_voice(
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
    form: Annotated[CreateVoiceForm, Form(media_type="multipart/form-data")],
) -> VoiceResource:
    """Make a voice. It can be used at once, by its name or id, and is there after a restart."""
    private = form.scope == "private"
    making: Callable[[], Awaitable[Voice]]
    if attributes := form.attributes():
        making = partial(engine.voices.create, form.name, attributes, caller=caller, private=private)
    else:
        sample = await read_upload(form.audio_sample, "audio_sample", service.settings.max_upload_bytes)
        making = partial(
            engine.voices.add, form.name, sample, form.transcript, consent=form.consent, caller=caller, private=private
        )
    return VoiceResource.of(await service.run(caller, making))


@router.get("", response_model_exclude_none=True)
async def list_voices(engine: EngineDependency, caller: CallerDependency, page: PageDependency) -> VoiceList:
    """The built-in voices, then those that were made, the oldest first."""
    everything = await engine.voices.list(caller, limit=EVERY_VOICE)
    return VoiceList.seen_by(caller, await engine.voices.list(caller, page.after, page.limit), everything.items)


@router.get("/{voice_id}", response_model_exclude_none=True)
async def get_voice(voice_id: str, engine: EngineDependency, caller: CallerDependency) -> VoiceDetails:
    """One voice."""
    return VoiceDetails.seen_by(caller, await engine.voices.get(voice_id, caller))


@router.post("/{voice_id}", response_model_exclude_none=True)
async def update_voice(
    voice_id: str,
    body: UpdateVoiceRequest,
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
) -> VoiceDetails:
    """Give a voice another name, or its sample another transcript."""
    changing = partial(engine.voices.change, voice_id, caller, name=body.name, transcript=body.transcript)
    return VoiceDetails.seen_by(caller, await service.run(caller, changing))


@router.get(
    "/{voice_id}/sample",
    response_class=Response,
    responses={200: {"description": "The file, as it was uploaded", "content": {name: {} for name in SAMPLE_TYPES}}},
)
async def get_sample(voice_id: str, engine: EngineDependency, caller: CallerDependency) -> Response:
    """The sample that a voice was made from, for its owner."""
    recording = await engine.voices.sample(voice_id, caller)
    # It came from a user and may be more than audio: no browser shall find out what.
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(recording.data, media_type=recording.media_type, headers=headers)


@router.delete("/{voice_id}")
async def delete_voice(voice_id: str, engine: EngineDependency, caller: CallerDependency) -> VoiceDeleted:
    """Delete a voice that was made."""
    await engine.voices.delete(voice_id, caller)
    return VoiceDeleted(id=voice_id)
