"""The engine's events as JSON, one model for each type, and as a header."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import singledispatch
from typing import Any, Final

from pydantic import BaseModel

from engine import IgnoredMarkup, MarkTime, SentenceTimes, SpeechEvent, SpeechWarning, WordTimes
from server.schemas import SpeechAudioDelta, SpeechAudioDone, SpeechAudioWarning
from server.script_schemas import (
    IgnoredElementsWarning,
    SpeechAudioMark,
    SpeechAudioTimestamps,
    SpeechAudioWords,
    SpokenSentence,
    WordTimestamp,
)

WARNING_HEADER = "X-Speech-Warnings"
NAMED = 100  # warnings in the header; proxies and clients refuse headers of 4 to 8 KB
EVENTS: Final[tuple[type[BaseModel], ...]] = (
    SpeechAudioDelta,
    SpeechAudioWarning,
    IgnoredElementsWarning,
    SpeechAudioTimestamps,
    SpeechAudioWords,
    SpeechAudioMark,
    SpeechAudioDone,
)
"""Of a stream of events."""


@singledispatch
def event_model(event: SpeechEvent) -> BaseModel:
    """Return the event as it is sent; raises TypeError if there is none for this type."""
    raise TypeError(f"{type(event).__name__} has no event")


@event_model.register
def _(event: SpeechWarning) -> SpeechAudioWarning:
    return SpeechAudioWarning(sentence=event.sentence, text=event.text, span=event.span, fault=event.fault)


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
def _(event: WordTimes) -> SpeechAudioWords:
    words = [WordTimestamp(word=word.word, start=word.start, end=word.end) for word in event.words]
    return SpeechAudioWords(sentence=event.sentence, words=words)


@event_model.register
def _(event: MarkTime) -> SpeechAudioMark:
    return SpeechAudioMark(name=event.name, seconds=event.seconds)


@event_model.register
def _(event: IgnoredMarkup) -> IgnoredElementsWarning:
    names = list(event.names)
    message = f"This SSML has no effect here, and its text is spoken: {', '.join(names)}."
    return IgnoredElementsWarning(message=message, ignored_elements=names)


def spoken_sentences(events: Iterable[SpeechEvent]) -> list[SpokenSentence]:
    """The sentences of a whole answer, each with its words."""
    models = [event_model(event) for event in events if isinstance(event, SentenceTimes | WordTimes)]
    words = {model.sentence: model.words for model in models if isinstance(model, SpeechAudioWords)}
    return [
        SpokenSentence(**model.model_dump(exclude={"type"}), words=words.get(model.sentence))
        for model in models
        if isinstance(model, SpeechAudioTimestamps)
    ]


def warning_header(events: Iterable[SpeechEvent]) -> dict[str, str]:
    """The header of a whole answer that names its warnings, such as `2 loop, 5 nothing`; none without warnings.

    Of more than NAMED the last item says how many more there are: `and 7 more`.
    """
    warnings = [f"{event.sentence} {event.fault}" for event in events if isinstance(event, SpeechWarning)]
    if len(warnings) > NAMED:
        warnings[NAMED:] = [f"and {len(warnings) - NAMED} more"]
    return {WARNING_HEADER: ", ".join(warnings)} if warnings else {}


def events_schema() -> dict[str, Any]:
    """What the OpenAPI document says of each item of a stream: its data is one of the events, as JSON."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": list(map(_schema, EVENTS))},
    }
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema, with its nested models written out: an OpenAPI document has its references elsewhere."""
    schema = model.model_json_schema(mode="serialization")
    nested = schema.pop("$defs", {})
    written_out: dict[str, Any] = json.loads(
        json.dumps(schema), object_hook=lambda node: nested[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    )
    return written_out
