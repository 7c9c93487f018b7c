"""The messages of /v1/audio/speech/stream: vLLM-Omni's, with `input.flush` and `input.cancel` of this server's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import HTTPException
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from engine import Caller, InvalidRequest, SpeechRequest, Split
from server.encoding import AudioFormat
from server.errors import invalid_field
from server.json_body import bounded_json
from server.schemas import CreateSpeechRequest, Delivery, Error, ResponseFormat, voice_name

FLUSH_AFTER_SECONDS = 1.5


class SessionConfig(CreateSpeechRequest):
    """The first message: the fields of a speech request, without its text."""

    type: Literal["session.config"] = "session.config"
    model: str = Field("tts-1", max_length=256)
    input: str = Field("", max_length=0, description="Empty: the text comes in input.text messages.")
    voice: Annotated[str, BeforeValidator(voice_name)] = Field(
        "alloy", min_length=1, max_length=256, validation_alias=AliasChoices("voice", "speaker")
    )
    response_format: ResponseFormat | None = Field(  # type: ignore[assignment]
        None, description="By default pcm with `stream_audio`, else wav."
    )
    stream_audio: bool = Field(
        False, description="If true, audio is sent as it is generated; else sentence by sentence."
    )
    split_granularity: Literal["none", "sentence", "clause"] = Field(
        "sentence", description="What is spoken as soon as it is complete; none waits for input.done."
    )
    flush_after_seconds: float = Field(
        FLUSH_AFTER_SECONDS,
        ge=0.1,
        le=600,
        allow_inf_nan=False,
        description="An unfinished sentence is spoken if no text follows for so long.",
    )

    @property
    def encoding(self) -> AudioFormat:
        """The format of the audio."""
        if self.response_format == "json":
            raise InvalidRequest("A session sends its audio in binary messages, not in JSON.", "response_format")
        return self.response_format or ("pcm" if self.stream_audio else "wav")

    @property
    def delivery(self) -> Delivery:
        """A session can have timestamps, as events can."""
        return "events"

    @property
    def grows(self) -> bool:
        """Whether sentences are spoken before the turn is complete. Markup has no meaning before its end."""
        return self.split_granularity != "none" and self.input_format == "text"

    @property
    def split(self) -> Split:
        """Where a text is split."""
        return "clause" if self.split_granularity == "clause" else "sentence"

    def to_engine(self, caller: Caller) -> SpeechRequest:
        """Convert to an engine request without a text; raises InvalidRequest."""
        if self.stream_format == "sse":
            raise InvalidRequest("A session is not an event stream; leave stream_format out.", "stream_format")
        if (self.model_extra or {}).get("word_timestamps"):  # its audio would be in JSON
            raise InvalidRequest(
                "word_timestamps is not supported; with timestamps, the words come in speech.audio.words messages.",
                "word_timestamps",
            )
        return super().to_engine(caller)


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class InputText(_Message):
    """The next part of a turn's text."""

    type: Literal["input.text"]
    text: str


class InputFlush(_Message):
    """The text so far is to be spoken."""

    type: Literal["input.flush"]


class InputDone(_Message):
    """The turn's text is complete."""

    type: Literal["input.done"]


class InputCancel(_Message):
    """The turn is to stop at once."""

    type: Literal["input.cancel"]


class SessionClose(_Message):
    """The session is to end."""

    type: Literal["session.close"]


Message = SessionConfig | InputText | InputFlush | InputDone | InputCancel | SessionClose
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])
_TYPES = "session.config, input.text, input.flush, input.done, input.cancel, session.close"


def parse_message(text: str) -> Message:
    """Return a client's message; raises InvalidRequest."""
    try:
        content = bounded_json(text)
    except ValueError as error:
        raise InvalidRequest(f"The message is not JSON: {error}.") from error
    except RecursionError as error:
        raise InvalidRequest("The message is nested too deeply.") from error
    except HTTPException as error:
        raise InvalidRequest(f"The message cannot be read: {error.detail}.") from error
    if not isinstance(content, dict):
        raise InvalidRequest(f"A message is a JSON object with one of these types: {_TYPES}.")
    try:
        return _MESSAGE.validate_python(content)
    except ValidationError as error:
        first: Any = error.errors()[0]
        if first["type"].startswith("union_tag"):
            raise InvalidRequest(
                f"Unknown message type: {content.get('type')!r}; known are {_TYPES}.", "type"
            ) from error
        body = invalid_field(first)
        raise InvalidRequest(body.message, body.param) from error


class AudioStart(BaseModel):
    """A sentence begins; a pause has no text."""

    type: Literal["audio.start"] = "audio.start"
    utterance_index: int
    sentence_index: int
    sentence_text: str
    format: AudioFormat
    sample_rate: int
    channels: int = 1


class AudioDone(BaseModel):
    """A sentence has ended. `error` is true if it was not completed."""

    type: Literal["audio.done"] = "audio.done"
    utterance_index: int
    sentence_index: int
    total_bytes: int
    error: bool = False


class SessionDone(BaseModel):
    """A turn has ended; the session goes on. `text` is what the seconds that were sent say."""

    type: Literal["session.done"] = "session.done"
    utterance_index: int
    total_sentences: int
    seconds: float
    text: str
    cancelled: bool = False


class SessionError(BaseModel):
    """Something failed; `error` is OpenAI's error object. `partial_audio` if the sentence was sent in part."""

    type: Literal["error"] = "error"
    message: str
    error: Error
    partial_audio: bool = False
