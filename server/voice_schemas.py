"""Request and response models for voices and consents: OpenAI's, with this server's extensions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Query, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from engine import ClonedVoiceTokens, Consent, Gender, InvalidRequest, Level, Page, Voice, VoiceAttributes
from server.patterns import ConsentId, LanguageTag, ListedVoice, Name, TextPrefix, Transcript, any_of, form, one_of
from server.voice_tokens import GlobalTokens, SemanticTokens, given_tokens

AUDIO = "One speaker, 1 s or longer: wav, flac, mp3, ogg, aac, mp4, webm, amr or 3gp."


class PageQuery(BaseModel):
    """Pagination parameters."""

    limit: int = Field(20, ge=1, le=100)


class VoicePage(PageQuery):
    """Pagination parameters for voices."""

    after: ListedVoice | None = Field(None, description="The last id of the previous page.")


class ConsentPage(PageQuery):
    """Pagination parameters for consents."""

    after: ConsentId | None = Field(None, description="The last id of the previous page.")


VoicePageDependency = Annotated[VoicePage, Query()]
ConsentPageDependency = Annotated[ConsentPage, Query()]


def _voice_form(schema: dict[str, Any]) -> None:
    """Add to the schema which fields require or exclude each other."""
    form(schema)
    schema |= one_of("audio_sample", "gender", "global_tokens")
    schema["dependentRequired"] = {
        **{name: ["gender"] for name in ("pitch", "speed", "seed")},
        "semantic_tokens": ["global_tokens", "transcript"],
    }
    schema["dependentSchemas"] = {
        "transcript": any_of("audio_sample", "semantic_tokens"),
        "consent": any_of("audio_sample", "global_tokens"),
    }


Scope = Annotated[
    Literal["shared", "private"],
    Field(description="shared: every API key can use the voice. private: only this one can."),
]


class CreateVoiceForm(BaseModel):
    """The form of POST /v1/audio/voices: OpenAI's fields, then the extensions.

    `audio_sample` makes a cloned voice, and so does `global_tokens`, from tokens. `gender`, optionally with `pitch`,
    `speed` and `seed`, makes a created voice.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra=_voice_form)

    name: Name
    audio_sample: UploadFile | None = Field(None, description=AUDIO)
    consent: ConsentId | None = Field(None, description="The id of a consent, if the server requires one.")
    type: Literal["audio_sample"] | None = Field(None, description="Sent by OpenAI's SDK; has no effect.")

    transcript: Transcript | None = None
    scope: Scope = "shared"
    gender: Gender | None = None
    pitch: Level | None = None
    speed: Level | None = None
    seed: int | None = Field(None, ge=0, lt=2**31, description="Selects one of the voices with these attributes.")
    global_tokens: GlobalTokens | None = None
    semantic_tokens: SemanticTokens | None = None
    text_prefix: TextPrefix | None = None
    language: LanguageTag | None = Field(None, description="The language of texts that do not say theirs.")

    def tokens(self) -> ClonedVoiceTokens | None:
        """Return the tokens of a voice that is made from tokens, or None; raises InvalidRequest."""
        if self.global_tokens is None:
            if self.semantic_tokens is not None:
                raise InvalidRequest("Missing required parameter: 'global_tokens'.", "global_tokens")
            return None
        if other := next((name for name in ("audio_sample", "gender") if getattr(self, name)), None):
            raise InvalidRequest(f"A voice is made from tokens or from {other}, not both.", other)
        return given_tokens(self.global_tokens, self.semantic_tokens, self.transcript)

    def attributes(self) -> VoiceAttributes | None:
        """Return the attributes of a created voice, or None for a cloned voice; raises InvalidRequest."""
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
    """The body of POST /v1/audio/voices/{voice_id}. Omitted fields do not change."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name | None = None
    transcript: Transcript | None = Field(None, description="An empty string removes the transcript.")
    language: LanguageTag | Literal[""] | None = Field(None, description="An empty string removes the language.")


VoiceType = Literal["audio_sample", "tokens", "created", "built_in"]


def voice_type(voice: Voice) -> VoiceType:
    """The type of a voice, a required field in OpenAI's SDK. `audio_sample` is OpenAI's value for a cloned voice."""
    if voice.built_in:
        return "built_in"
    if voice.attributes:
        return "created"
    return "tokens" if voice.from_tokens else "audio_sample"


class VoiceResource(BaseModel):
    """OpenAI's voice resource. `warnings` is present only if something reduces the voice's quality."""

    object: Literal["audio.voice"] = "audio.voice"
    id: str
    name: str
    created_at: int
    type: VoiceType
    warnings: list[str] | None = None

    @classmethod
    def of(cls, voice: Voice) -> VoiceResource:
        """Convert the engine's voice."""
        return cls(
            id=voice.id,
            name=voice.name,
            created_at=voice.created_at,
            type=voice_type(voice),
            warnings=list(voice.warnings) or None,
        )


class Attributes(BaseModel):
    """The attributes of a created voice."""

    gender: Gender
    pitch: Level
    speed: Level
    seed: int


class VoiceDetails(VoiceResource):
    """A voice with its attributes. `transcript` and `consent` are present only for its owner."""

    scope: Literal["built_in", "shared", "private"]
    attributes: Attributes | None = None
    transcript: str | None = None
    consent: str | None = None
    text_prefix: str | None = None
    language: str | None = None

    @classmethod
    def seen_by(cls, caller: str, voice: Voice) -> VoiceDetails:
        """Convert the engine's voice, without what this caller may not see."""
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
            text_prefix=voice.text_prefix or None,
            language=voice.language,
        )


class VoiceName(BaseModel):
    """A voice as clients show it in a menu. They send its `id` as `voice`."""

    id: str
    name: str


class VoiceList(BaseModel):
    """One page of voices in `data`, and all voices in `voices`, the field that Open WebUI and other clients read."""

    object: Literal["list"] = "list"
    data: list[VoiceDetails]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool
    voices: list[VoiceName]

    @classmethod
    def seen_by(cls, caller: str, page: Page[Voice], voices: list[Voice]) -> VoiceList:
        """Convert a page and the list of all voices, without what this caller may not see."""
        return cls(
            data=[VoiceDetails.seen_by(caller, voice) for voice in page.items],
            first_id=page.first_id,
            last_id=page.last_id,
            has_more=page.more,
            voices=[VoiceName(id=voice.id, name=voice.name) for voice in voices],
        )


class VoiceDeleted(BaseModel):
    """The response to the deletion of a voice."""

    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    id: str
    deleted: Literal[True] = True


class CreateConsentForm(BaseModel):
    """The form of POST /v1/audio/voice_consents."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    recording: UploadFile = Field(description=AUDIO)
    language: LanguageTag = Field(description="A BCP 47 tag, such as en-US.")


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
        """Convert the engine's consent."""
        return cls(id=consent.id, name=consent.name, language=consent.language, created_at=consent.created_at)


class ConsentList(BaseModel):
    """One page of consents."""

    object: Literal["list"] = "list"
    data: list[ConsentResource]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, page: Page[Consent]) -> ConsentList:
        """Convert the engine's page."""
        data = [ConsentResource.of(consent) for consent in page.items]
        return cls(data=data, first_id=page.first_id, last_id=page.last_id, has_more=page.more)


class ConsentDeleted(BaseModel):
    """The response to the deletion of a consent."""

    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    id: str
    deleted: Literal[True] = True
