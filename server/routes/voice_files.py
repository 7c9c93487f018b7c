"""/v1/audio/voice_files: voices as files, for another server."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from server.auth import CallerDependency
from server.json_body import JsonRoute
from server.patterns import ConsentId, Name
from server.patterns import form as form_schema
from server.service import EngineDependency, ServiceDependency
from server.uploads import read_upload
from server.voice_schemas import Scope, VoiceResource

router = APIRouter(prefix="/audio/voice_files", tags=["Audio"], route_class=JsonRoute)

MEDIA_TYPE = "application/octet-stream"


class ImportVoiceForm(BaseModel):
    """The form of POST /v1/audio/voice_files."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=form_schema)

    file: UploadFile = Field(description="The file of a voice, from this server or another.")
    name: Name | None = Field(None, description="Another name for the voice.")
    consent: ConsentId | None = Field(None, description="The id of a consent, if the server requires one.")
    scope: Scope = "shared"


@router.post("", response_model_exclude_none=True)
async def import_voice(
    service: ServiceDependency,
    engine: EngineDependency,
    caller: CallerDependency,
    form: Annotated[ImportVoiceForm, Form(media_type="multipart/form-data")],
) -> VoiceResource:
    """Import a voice from its file."""
    data = await read_upload(form.file, "file", service.settings.max_upload_bytes)
    private = form.scope == "private"
    adding = partial(engine.voice_files.add, data, form.name, consent=form.consent, caller=caller, private=private)
    return VoiceResource.of(await service.run(caller, adding))


@router.get(
    "/{voice_id}",
    response_class=Response,
    responses={200: {"description": "The file of the voice", "content": {MEDIA_TYPE: {}}}},
)
async def export_voice(voice_id: str, engine: EngineDependency, caller: CallerDependency) -> Response:
    """Export a voice with its sample and its tokens. Only its owner can."""
    data = await engine.voice_files.export(voice_id, caller)
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type=MEDIA_TYPE, headers=headers)
