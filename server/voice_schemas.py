"""What goes over the wire about voices and consents: OpenAI's models, with this server's extensions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import Query, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from engine import Consent, Gender, InvalidRequest, Level, Page, Voice, VoiceAttributes

Name = Annotated[str, Field(min_length=1, max_length=256, description="Without slashes and control characters.")]
Transcript = Annotated[str, Field(max_length=4096, description="What the sample says, word for word.")]
AUDIO = "One speaker, 1 s or longer: wav, flac, mp3, ogg, aac, mp4 or webm."


class PageQuery(BaseModel):
    """Which part of a list is asked for."""

    after: str | None = Field(None, max_length=256, description="The id that the last page ended with.")
    limit: int = Field(20, ge=1, le=100)


PageDependency = Annotated[PageQuery, Query()]


class CreateVoiceForm(BaseModel):
    """The form of POST /v1/audio/voices: OpenAI's fields, then the extensions.

    A voice is made from `audio_sample`, or else from `gender`, with `pitch`, `speed` and `seed`.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    audio_sample: UploadFile | None = Field(None, description=AUDIO)
    consent: str | None = Field(None, max_length=256, description="The id of a consent, if the server requires one.")
    type: Literal["audio_sample"] | None = Field(None, description="What OpenAI's SDK sends.")

    transcript: Transcript | None = None
    scope: Literal["shared", "private"] = Field("shared", description="Who may use it: every key, or this one only.")
    gender: Gender | None = None
    pitch: Level | None = None
    speed: Level | None = None
    seed: int | None = Field(None, ge=0, lt=2**31, description="Another seed is another voice of this kind.")

    def attributes(self) -> VoiceAttributes | None:
        """What the model makes the voice up from, if it is not a sample; raises InvalidRequest."""
        given = {
            name: value for name in ("gender", "pitch", "speed", "seed") if (value := getattr(self, name)) is not None
        }
        if self.audio_sample:
            if given:
                raise InvalidRequest("A voice is made from a sample or from attributes, not both.", next(iter(given)))
            return None
        if "gender" not in given:
            missing = "gender" if given else "audio_sample"
            raise InvalidRequest(f"Missing required parameter: {missing!r}.", missing)
        if unfit := next((name for name in ("transcript", "consent") if getattr(self, name)), None):
            raise InvalidRequest(f"A voice that is made from attributes has no {unfit}.", unfit)
        return VoiceAttributes(**given)


class UpdateVoiceRequest(BaseModel):
    """The body of POST /v1/audio/voices/{voice_id}; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name | None = None
    transcript: Transcript | None = Field(None, description="Empty: the sample is used without one.")


VoiceType = Literal["audio_sample", "created", "built_in"]


def voice_type(voice: Voice) -> VoiceType:
    """What a voice was made from. OpenAI has `audio_sample` too; its SDK's model of a voice requires a type."""
    if voice.built_in:
        return "built_in"
    return "created" if voice.attributes else "audio_sample"


class VoiceResource(BaseModel):
    """A voice that was made, as OpenAI has it; `warnings` are there only if something will harm it."""

    object: Literal["audio.voice"] = "audio.voice"
    id: str
    name: str
    created_at: int
    type: VoiceType
    warnings: list[str] | None = None

    @classmethod
    def of(cls, voice: Voice) -> VoiceResource:
        """The engine's voice as OpenAI's."""
        return cls(
            id=voice.id,
            name=voice.name,
            created_at=voice.created_at,
            type=voice_type(voice),
            warnings=list(voice.warnings) or None,
        )


class Attributes(BaseModel):
    """The attributes that a voice was created from."""

    gender: Gender
    pitch: Level
    speed: Level
    seed: int


class VoiceDetails(VoiceResource):
    """A voice, and what it was made from; `transcript` and `consent` are shown to its owner."""

    scope: Literal["built_in", "shared", "private"]
    attributes: Attributes | None = None
    transcript: str | None = None
    consent: str | None = None

    @classmethod
    def seen_by(cls, caller: str, voice: Voice) -> VoiceDetails:
        """The engine's voice, as this caller may see it."""
        attributes, own = voice.attributes, voice.owner == caller
        return cls(
            id=voice.id,
            name=voice.name,
            created_at=voice.created_at,
            type=voice_type(voice),
            warnings=list(voice.warnings) or None,
            scope="built_in" if voice.built_in else "private" if voice.private else "shared",
            attributes=Attributes(**asdict(attributes)) if attributes else None,
            transcript=voice.transcript if own else None,
            consent=voice.consent if own else None,
        )


class VoiceName(BaseModel):
    """A voice as a client shows it for choice; `id` is what it sends as `voice`."""

    id: str
    name: str


class VoiceList(BaseModel):
    """A page of the voices as `data`, and all of them as `voices`, which is what Open WebUI and others read."""

    object: Literal["list"] = "list"
    data: list[VoiceDetails]
    first_id: str | None
    last_id: str | None
    has_more: bool
    voices: list[VoiceName]

    @classmethod
    def seen_by(cls, caller: str, page: Page[Voice], voices: list[Voice]) -> VoiceList:
        """The engine's page and all its voices, as this caller may see them."""
        return cls(
            data=[VoiceDetails.seen_by(caller, voice) for voice in page.items],
            first_id=page.first_id,
            last_id=page.last_id,
            has_more=page.more,
            voices=[VoiceName(id=voice.id, name=voice.name) for voice in voices],
        )


class VoiceDeleted(BaseModel):
    """A voice that is no more."""

    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    id: str
    deleted: Literal[True] = True


class CreateConsentForm(BaseModel):
    """The form of POST /v1/audio/voice_consents."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    recording: UploadFile = Field(description=AUDIO)
    language: str = Field(max_length=64, description="A BCP 47 tag, such as en-US.")


class UpdateConsentRequest(BaseModel):
    """The body of POST /v1/audio/voice_consents/{consent_id}."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name


class ConsentResource(BaseModel):
    """A consent recording."""

    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    id: str
    name: str
    language: str
    created_at: int

    @classmethod
    def of(cls, consent: Consent) -> ConsentResource:
        """The engine's consent as OpenAI's."""
        return cls(id=consent.id, name=consent.name, language=consent.language, created_at=consent.created_at)


class ConsentList(BaseModel):
    """A part of the consents."""

    object: Literal["list"] = "list"
    data: list[ConsentResource]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, page: Page[Consent]) -> ConsentList:
        """The engine's page as OpenAI's."""
        data = [ConsentResource.of(consent) for consent in page.items]
        return cls(data=data, first_id=page.first_id, last_id=page.last_id, has_more=page.more)


class ConsentDeleted(BaseModel):
    """A consent that is withdrawn."""

    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    id: str
    deleted: Literal[True] = True
