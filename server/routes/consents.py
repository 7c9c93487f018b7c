"""/v1/audio/voice_consents: recordings in which speakers agree to the use of their voices."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form

from server.auth import CallerDependency
from server.json_body import JsonRoute
from server.service import EngineDependency, ServiceDependency
from server.uploads import read_upload
from server.voice_schemas import (
    ConsentDeleted,
    ConsentList,
    ConsentPageDependency,
    ConsentResource,
    CreateConsentForm,
    UpdateConsentRequest,
)

router = APIRouter(prefix="/audio/voice_consents", tags=["Audio"], route_class=JsonRoute)


@router.post("")
async def create_consent(
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
    form: Annotated[CreateConsentForm, Form(media_type="multipart/form-data")],
) -> ConsentResource:
    """Store a recording in which a speaker agrees to the use of their voice."""
    recording = await read_upload(form.recording, "recording", service.settings.max_upload_bytes)
    adding = partial(engine.consents.add, form.name, recording, form.language, caller)
    return ConsentResource.of(await service.run(caller, adding))


@router.get("")
async def list_consents(engine: EngineDependency, caller: CallerDependency, page: ConsentPageDependency) -> ConsentList:
    """List the caller's consents, oldest first."""
    return ConsentList.of(await engine.consents.list(caller, page.after, page.limit))


@router.get("/{consent_id}")
async def get_consent(consent_id: str, engine: EngineDependency, caller: CallerDependency) -> ConsentResource:
    """Return one consent."""
    return ConsentResource.of(await engine.consents.get(consent_id, caller))


@router.post("/{consent_id}")
async def update_consent(
    consent_id: str, body: UpdateConsentRequest, engine: EngineDependency, caller: CallerDependency
) -> ConsentResource:
    """Change the name of a consent."""
    return ConsentResource.of(await engine.consents.rename(consent_id, body.name, caller))


@router.delete("/{consent_id}")
async def delete_consent(consent_id: str, engine: EngineDependency, caller: CallerDependency) -> ConsentDeleted:
    """Delete a consent. If the server requires consents, the voices that refer to it can no longer be used."""
    await engine.consents.delete(consent_id, caller)
    return ConsentDeleted(id=consent_id)
