"""Request and response models of FlashTTS's endpoints, according to its documentation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine import CODEC_SAMPLE_RATE, Caller, Level, Sampling, SpeechRequest
from server.encoding import DEFAULT_FORMAT, AudioFormat
from server.patterns import Dialogue, Name, Transcript, VoiceName, form, one_of
from server.schemas import MOST_TOKENS
from server.voice_schemas import AUDIO

TEMPO: Final[dict[Level, float]] = {"very_low": 0.6, "low": 0.8, "moderate": 1.0, "high": 1.25, "very_high": 1.5}
"""The tempo factor for each of FlashTTS's speed labels."""


class Sampled(BaseModel):
    """The fields of all requests for speech. Null selects the default."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=4096)
    temperature: float = Field(0.9, ge=0, le=2, allow_inf_nan=False)
    top_k: int = Field(50, ge=0, le=10_000)
    top_p: float = Field(0.95, gt=0, le=1, allow_inf_nan=False)
    repetition_penalty: float = Field(1.0, ge=0.1, le=10, allow_inf_nan=False)
    max_tokens: int = Field(4096, ge=1)
    length_threshold: int = Field(50, description="Ignored; texts are split into sentences.")
    window_size: int = Field(50, description="Ignored, like `length_threshold`.")
    stream: bool = False
    response_format: AudioFormat = Field(DEFAULT_FORMAT, description=f"At {CODEC_SAMPLE_RATE} Hz.")

    @model_validator(mode="before")
    @classmethod
    def _null_leaves_out(cls, body: object) -> object:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body

    def to_engine(self, text: str, voice: str, caller: Caller) -> SpeechRequest:
        """Convert to an engine request for `text` in this voice."""
        return SpeechRequest(
            text=text,
            voice=voice,
            sample_rate=CODEC_SAMPLE_RATE,
            max_tokens=min(self.max_tokens, MOST_TOKENS),
            caller=caller,
            sampling=Sampling(
                temperature=self.temperature,
                top_k=self.top_k,
                top_p=self.top_p,
                repetition_penalty=self.repetition_penalty,
            ),
        )


class MultiSpeakRequest(Sampled):
    """The body of POST /multi_speak."""

    text: Dialogue = Field(description="The lines of a dialogue. `<role:NAME>` selects the voice of the text after it.")


class Labelled(Sampled):
    """Pitch and speed as labels; `moderate` does not change the voice."""

    pitch: Level = "moderate"
    speed: Level = "moderate"

    def to_engine(self, text: str, voice: str, caller: Caller) -> SpeechRequest:
        """Convert to an engine request for `text` in this voice."""
        pitch = None if self.pitch == "moderate" else self.pitch
        return replace(super().to_engine(text, voice, caller), pitch=pitch, speed=TEMPO[self.speed])


class SpeakRequest(Labelled):
    """The body of POST /speak."""

    name: VoiceName = Field(description="A voice's name or id.")


def _clone_form(schema: dict[str, Any]) -> None:
    form(schema)
    schema |= one_of("reference_audio", "reference_audio_file")


def _speaker_form(schema: dict[str, Any]) -> None:
    form(schema)
    schema |= one_of("audio", "audio_file")


class CloneRequest(Labelled):
    """The form of POST /clone_voice. Exactly one of `reference_audio` and `reference_audio_file` is required."""

    model_config = ConfigDict(json_schema_extra=_clone_form)

    reference_audio: str | None = Field(None, description="The sample in base64. URLs are not supported.")
    reference_audio_file: UploadFile | None = Field(None, description=AUDIO)
    reference_text: Transcript | None = None


class AddSpeakerForm(BaseModel):
    """The form of POST /add_speaker. Exactly one of `audio` and `audio_file` is required."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_speaker_form)

    name: Name
    audio: str | None = Field(None, description="The sample in base64. URLs are not supported.")
    audio_file: UploadFile | None = Field(None, description=AUDIO)
    reference_text: Transcript | None = None


class DeleteSpeakerForm(BaseModel):
    """The form of POST /delete_speaker."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class Success(BaseModel):
    """The field that all JSON responses have."""

    success: Literal[True] = True


class Role(Success):
    """The name of the voice that was added or deleted."""

    role: str


class Roles(Success):
    """The names of all voices."""

    roles: list[str]


class Info(BaseModel):
    """Information about the server."""

    model: str
    roles: list[str]
    sample_rate: int = CODEC_SAMPLE_RATE


class ServerInfo(Success):
    """The response of GET /server_info."""

    info: Info
