"""The engine's events as JSON, one model for each type."""

from __future__ import annotations

from functools import singledispatch
from typing import Literal

from pydantic import BaseModel

from engine import IgnoredMarkup, MarkTime, SentenceTimes, SpeechEvent
from server.script_schemas import MarkTimestamp, SentenceTimestamps


class SpeechAudioTimestamps(SentenceTimestamps):
    """An event of `stream_format: sse` with `timestamps`: a sentence has ended."""

    type: Literal["speech.audio.timestamps"] = "speech.audio.timestamps"


class SpeechAudioMark(MarkTimestamp):
    """An event of `stream_format: sse` with `timestamps`: one of SSML's marks was reached."""

    type: Literal["speech.audio.mark"] = "speech.audio.mark"


class SpeechAudioWarning(BaseModel):
    """An event of `stream_format: sse`: something in the request has no effect."""

    type: Literal["speech.audio.warning"] = "speech.audio.warning"
    message: str
    ignored_elements: list[str]


@singledispatch
def event_model(event: SpeechEvent) -> BaseModel:
    """Return the event as it is sent."""
    raise TypeError(f"{type(event).__name__} has no model")


@event_model.register
def _(event: SentenceTimes) -> SpeechAudioTimestamps:
    return SpeechAudioTimestamps(
        sentence=event.number,
        text=event.text,
        span=event.span,
        start=event.start,
        end=event.end,
        speaker=event.speaker,
    )


@event_model.register
def _(event: MarkTime) -> SpeechAudioMark:
    return SpeechAudioMark(name=event.name, seconds=event.seconds)


@event_model.register
def _(event: IgnoredMarkup) -> SpeechAudioWarning:
    names = list(event.names)
    return SpeechAudioWarning(
        message=f"This SSML has no effect here, and its text is spoken: {', '.join(names)}.", ignored_elements=names
    )
