"""What an answer says about itself, as server-sent events and as a header."""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch

from pydantic import BaseModel

from engine import SpeechEvent, SpeechWarning
from server.schemas import SpeechAudioWarning

WARNING_HEADER = "X-Speech-Warnings"


@singledispatch
def event_model(event: SpeechEvent) -> BaseModel:
    """The event that is sent to clients; raises TypeError if there is none for this type."""
    raise TypeError(f"{type(event).__name__} has no event")


@event_model.register
def _(event: SpeechWarning) -> SpeechAudioWarning:
    return SpeechAudioWarning(sentence=event.sentence, text=event.text, fault=event.fault)


def warning_header(events: Iterable[SpeechEvent]) -> dict[str, str]:
    """The header of a whole answer that names its warnings, such as `2 loop, 5 nothing`; none without warnings."""
    warnings = [f"{event.sentence} {event.fault}" for event in events if isinstance(event, SpeechWarning)]
    return {WARNING_HEADER: ", ".join(warnings)} if warnings else {}
