"""/v1/audio/voices: voices made from samples, and the built-in ones."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, UploadFile

from engine import InvalidRequest
from server.schemas import VoiceDeleted, VoiceList, VoiceResource
from server.service import EngineDependency, ServiceDependency

router = APIRouter(prefix="/audio/voices", tags=["Audio"])


@router.post("")
async def create_voice(
    service: ServiceDependency,
    engine: EngineDependency,
    name: Annotated[str, Form(min_length=1, max_length=256)],
    audio_sample: Annotated[UploadFile, File(description="wav, flac, mp3 or ogg; 1 to 30 seconds of one speaker")],
    transcript: Annotated[str | None, Form(max_length=4096, description="What the sample says")] = None,
    consent: Annotated[str | None, Form(description="Accepted for compatibility")] = None,
    type: Annotated[  # noqa: A002 - the form's field
        Literal["audio_sample"] | None, Form(description="What OpenAI's SDK sends")
    ] = None,
) -> VoiceResource:
    """Make a voice from a sample. It can be used at once, by its name or id."""
    limit = service.settings.max_upload_bytes
    sample = await audio_sample.read(limit + 1)
    if len(sample) > limit:
        raise InvalidRequest(f"The sample is larger than {limit} bytes.", "audio_sample")
    return VoiceResource.of(await engine.voices.add(name, sample, transcript))


@router.get("")
async def list_voices(engine: EngineDependency) -> VoiceList:
    """All voices, the built-in ones first."""
    return VoiceList(data=[VoiceResource.of(voice) for voice in (await engine.voices.list()).items])


@router.delete("/{voice_id}")
async def delete_voice(voice_id: str, engine: EngineDependency) -> VoiceDeleted:
    """Delete a voice that was made from a sample."""
    await engine.voices.delete(voice_id)
    return VoiceDeleted(id=voice_id)
