"""OpenAI's request and response models with this server's extensions, and their conversion to engine requests."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from engine import (
    Caller,
    Gender,
    InvalidRequest,
    Language,
    Level,
    Sampling,
    SpeechRequest,
    TextOptions,
    spoken_language,
)
from server.client_fields import IGNORED, UnknownFields, ignored_fields
from server.encoding import DEFAULT_FORMAT, AudioFormat, check_sample_rate
from server.patterns import SampleRate, VoiceName
from server.script_schemas import LexiconOptions, ScriptOptions

OPENAI_MODELS: Final = re.compile(r"tts-1(-hd)?(-\d{4})?|gpt-([\w.]+-)*(tts|audio|realtime)(-[\w.]+)*", re.ASCII)
"""Names of OpenAI's speech models, including old and dated ones. All of them select the served model."""

Delivery = Literal["audio", "events", "whole", "json"]
"""How the response is sent: as streamed audio, as server-sent events, as one file of known length, or as JSON."""

UNHEARD: Final = (
    "For a cloned voice it asks the language model for this manner, which users report to work; it was not heard here "
    "with the published weights."
)
MOST_TOKENS: Final = 3000  # a sentence: a minute


class VoiceReference(BaseModel):
    """A reference to a voice by its id."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: VoiceName


def voice_name(value: object) -> object:
    """Return the id of a voice reference: `{"id": "voice_123"}` and `"voice_123"` are equivalent."""
    return VoiceReference.model_validate(value).id if isinstance(value, dict) else value


def _integer(value: object) -> object:
    """Convert floats without a fraction: JSON does not distinguish 1.0 from 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _as_it_is_taken(schema: dict[str, Any]) -> None:
    """Add to the schema of a body that optional fields accept null, and which fields of known clients are ignored."""
    properties = schema["properties"]
    for name, field in properties.items():
        if name not in schema["required"] and {"type": "null"} not in field.get("anyOf", ()):
            about = {key: field.pop(key) for key in ("title", "description", "default") if key in field}
            properties[name] = {"anyOf": [field, {"type": "null"}], **about}
    for name, client in IGNORED.items():
        properties.setdefault(name, {"description": f"Ignored; sent by {client}."})
    schema["additionalProperties"] = False


ResponseFormat = Annotated[Literal["mp3", "opus", "aac", "flac", "wav", "pcm", "json"], BeforeValidator(_lower_case)]
"""The audio formats, and JSON with audio in it. One literal: an error of a union would name its members."""


class ReadingOptions(LexiconOptions):
    """The normalization options, common to all requests with a text."""

    language: str | None = Field(
        None,
        max_length=64,
        description="A BCP 47 tag such as en-GB, or the English name of a language. English or Chinese selects how "
        "numbers are read if the text alone does not show it, for example if it has digits only. In another language "
        "the whole text is read: its numbers where they are known, and its sentences. Without it, the voice's counts.",
    )
    normalize: bool = Field(True, description="If false, the text is not normalized.")
    emoji: Literal["drop", "name"] = Field("drop", description="drop removes emoji; name reads their names.")

    @model_validator(mode="before")
    @classmethod
    def _null_leaves_out(cls, body: object) -> object:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body

    @property
    def reading(self) -> TextOptions:
        """The options as the engine's type."""
        return TextOptions(
            language=spoken_language(self.language),
            emoji=self.emoji,
            normalize=self.normalize,
            lexicon=self.respelling,
        )


class CreateSpeechRequest(ReadingOptions, ScriptOptions):
    """The body of POST /v1/audio/speech: OpenAI's fields, then optional extensions. Null selects the default."""

    model_config = ConfigDict(extra="allow", strict=True, json_schema_extra=_as_it_is_taken)

    model: str = Field(max_length=256, description="The served model's name, or the name of an OpenAI speech model.")
    input: str = Field(min_length=1, max_length=4096, description="The text to speak.")
    voice: Annotated[str, BeforeValidator(voice_name, json_schema_input_type=VoiceName | VoiceReference)] = Field(
        min_length=1, max_length=256, description="A voice's name or id, or an object with its id."
    )
    instructions: str | None = Field(
        None, max_length=4096, description="Ignored; Spark-TTS does not support instructions."
    )
    response_format: ResponseFormat = Field(
        DEFAULT_FORMAT, description="json is the audio in base64 with the time of each sentence."
    )
    speed: float = Field(
        1.0, ge=0.25, le=4.0, allow_inf_nan=False, description="Tempo factor; the pitch does not change."
    )
    stream_format: Literal["audio", "sse"] = "audio"

    stream: bool = Field(True, description="If false, the response is one complete file. Events always stream.")
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63), BeforeValidator(_integer)] | None = Field(
        None, description="The same seed gives the same speech."
    )
    temperature: float = Field(0.8, ge=0, le=2, allow_inf_nan=False, description="0 selects greedy decoding.")
    top_k: Annotated[int, BeforeValidator(_integer)] = Field(50, ge=0, le=10_000, description="0 disables top-k.")
    top_p: float = Field(0.95, gt=0, le=1, allow_inf_nan=False)
    repetition_penalty: float = Field(1.0, ge=0.1, le=10, allow_inf_nan=False)
    max_tokens: Annotated[int, Field(ge=1), BeforeValidator(_integer)] | None = Field(
        None,
        description=f"Limit of semantic tokens per sentence, at 50 per second. Larger values mean {MOST_TOKENS}.",
    )
    retakes: Annotated[int, Field(ge=0, le=10), BeforeValidator(_integer)] | None = Field(
        None, description="How often a sentence is drawn again if it loops, falls silent, ends too early or not at all."
    )
    verify: bool = Field(
        False, description="Whether a sentence is sent only after the server's listener has understood it."
    )
    gender: Gender | None = Field(None, description="Overrides the gender of a created voice.")
    pitch: Level | None = Field(None, description=f"Overrides the pitch of a created voice. {UNHEARD}")
    rate: Level | None = Field(None, description=f"Overrides the speed of a created voice. {UNHEARD}")
    sample_rate: Annotated[SampleRate, BeforeValidator(_integer)] = Field(
        24_000, description="In Hz. opus supports 8000, 12000, 16000, 24000 and 48000 only."
    )

    def ignored(self, unknown: UnknownFields) -> list[str]:
        """Return the names of the request's ignored fields; raises InvalidRequest as `unknown` says."""
        sent = [name for name in type(self).model_fields if name in self.model_fields_set]
        return ignored_fields([*sent, *(self.model_extra or {})], type(self).model_fields, unknown)

    @property
    def delivery(self) -> Delivery:
        """How the response is sent."""
        if self.response_format == "json":
            return "json"
        if self.stream_format == "sse":
            return "events"
        return "audio" if self.stream else "whole"

    @property
    def encoding(self) -> AudioFormat:
        """The format of the audio, also within JSON."""
        return self.audio_format if self.response_format == "json" else self.response_format

    def to_engine(self, caller: Caller) -> SpeechRequest:
        """Convert to an engine request; raises InvalidRequest if the format does not support the sample rate."""
        check_sample_rate(self.encoding, self.sample_rate)
        if self.delivery == "json" and self.stream_format == "sse":
            raise InvalidRequest("response_format json is one whole response, not sse.", "stream_format")
        if self.timestamps and self.delivery not in ("events", "json"):
            raise InvalidRequest(
                "timestamps need stream_format sse or response_format json.",
                "timestamps",
            )
        sampling = Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            repetition_penalty=self.repetition_penalty,
            seed=None if self.seed is None else self.seed % 2**64,
        )
        return SpeechRequest(
            text=self.input,
            voice=self.voice,
            speed=self.speed,
            gender=self.gender,
            pitch=self.pitch,
            rate=self.rate,
            sample_rate=self.sample_rate,
            max_tokens=self.max_tokens and min(self.max_tokens, MOST_TOKENS),
            caller=caller,
            sampling=sampling,
            reading=self.reading,
            form=self.form,
            timestamps=self.timestamps or self.delivery == "json",
            words=self.timestamps or self.delivery == "json",
            retakes=self.retakes,
            verify=self.verify,
        )


class SpeechUsage(BaseModel):
    """Numbers of tokens of one response."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechAudioDelta(BaseModel):
    """An event of `stream_format: sse`: the next bytes of audio, in base64."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str


class SpeechAudioWarning(BaseModel):
    """An event of `stream_format: sse`: a sentence may not be heard as it was asked for.

    `sentence` counts from 0; `text` is the sentence as it was to be spoken, `span` its place in the request's text.
    """

    type: Literal["speech.audio.warning"] = "speech.audio.warning"
    sentence: int
    text: str
    span: tuple[int, int]
    fault: str


class SpeechAudioDone(BaseModel):
    """The last event of `stream_format: sse`."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: SpeechUsage


class Model(BaseModel):
    """A model of the API."""

    object: Literal["model"] = "model"
    id: str
    created: int
    owned_by: str
    languages: list[Language] | None = Field(None, description="Those that it speaks; null until it is loaded")


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


class ModelName(BaseModel):
    """A model as clients show it in a menu."""

    id: str
    name: str


class AudioModelList(ModelList):
    """All models; each is a speech model."""

    models: list[ModelName]


class Error(BaseModel):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """The body of every error response."""

    error: Error
