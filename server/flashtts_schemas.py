"""What goes over the wire at the endpoints of FlashTTS, as its documentation has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine import CODEC_SAMPLE_RATE, Caller, Level, Sampling, SpeechRequest
from server.encoding import DEFAULT_FORMAT, AudioFormat
from server.schemas import MOST_TOKENS
from server.voice_schemas import AUDIO, Name, Transcript

TEMPO: Final[dict[Level, float]] = {"very_low": 0.6, "low": 0.8, "moderate": 1.0, "high": 1.25, "very_high": 1.5}
"""What FlashTTS's labels of speed are here."""


class Sampled(BaseModel):
    """What all requests for speech have. Null leaves a field out."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=4096)
    temperature: float = Field(0.9, ge=0, le=2, allow_inf_nan=False)
    top_k: int = Field(50, ge=0, le=10_000)
    top_p: float = Field(0.95, gt=0, le=1, allow_inf_nan=False)
    repetition_penalty: float = Field(1.0, ge=0.1, le=10, allow_inf_nan=False)
    max_tokens: int = Field(4096, ge=1)
    length_threshold: int = Field(50, description="Ignored: texts are split into sentences.")
    window_size: int = Field(50, description="Ignored, as `length_threshold` is.")
    stream: bool = False
    response_format: AudioFormat = Field(DEFAULT_FORMAT, description=f"At {CODEC_SAMPLE_RATE} Hz.")

    @model_validator(mode="before")
    @classmethod
    def _null_leaves_out(cls, body: object) -> object:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body

    def to_engine(self, text: str, voice: str, caller: Caller) -> SpeechRequest:
        """The engine's request for a text in a voice."""
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


class Labelled(Sampled):
    """Pitch and speed as labels; `moderate` leaves the voice as it is."""

    pitch: Level = "moderate"
    speed: Level = "moderate"

    def to_engine(self, text: str, voice: str, caller: Caller) -> SpeechRequest:
        """The engine's request for a text in a voice."""
        pitch = None if self.pitch == "moderate" else self.pitch
        return replace(super().to_engine(text, voice, caller), pitch=pitch, speed=TEMPO[self.speed])


class SpeakRequest(Labelled):
    """The body of POST /speak."""

    name: str = Field(min_length=1, max_length=256, description="A voice's name or id.")


class CloneRequest(Labelled):
    """The form of POST /clone_voice; the sample is one of the two."""

    reference_audio: str | None = Field(None, description="In base64; URLs are not fetched.")
    reference_audio_file: UploadFile | None = Field(None, description=AUDIO)
    reference_text: Transcript | None = None


class AddSpeakerForm(BaseModel):
    """The form of POST /add_speaker; the sample is one of the two."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    audio: str | None = Field(None, description="In base64; URLs are not fetched.")
    audio_file: UploadFile | None = Field(None, description=AUDIO)
    reference_text: Transcript | None = None


class DeleteSpeakerForm(BaseModel):
    """The form of POST /delete_speaker."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class Success(BaseModel):
    """What every answer but audio has."""

    success: Literal[True] = True


class Role(Success):
    """A voice that was made or deleted."""

    role: str


class Roles(Success):
    """The names of all voices."""

    roles: list[str]


class Info(BaseModel):
    """What this server is."""

    model: str
    roles: list[str]
    sample_rate: int = CODEC_SAMPLE_RATE


class ServerInfo(Success):
    """What this server is."""

    info: Info
