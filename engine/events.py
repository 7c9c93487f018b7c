"""What an answer says about its speech: where in it each sentence is, and what of the text had no effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.text import Span
from engine.types import SpeechEvent

NO_WORDS: Final = "no_words"
"""The fault of a sentence whose words have no times: the listener did not answer, or it gave none."""


@dataclass(frozen=True, slots=True)
class SentenceBegun(SpeechEvent):
    """The samples with this event begin a sentence, or a pause, which has no text; `announce` asks for it."""

    text: str
    span: Span
    tempo: float = 1.0


@dataclass(frozen=True, slots=True)
class SentenceTimes(SpeechEvent):
    """A sentence has ended: what was said, by whom, and when.

    `number` counts the answer's sentences from 0. `text` is what was written, at `span` of the request's text, which
    includes the markup between. `start` and `end` are in seconds of the answer, exact to a sample.
    """

    number: int
    text: str
    span: Span
    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True)
class WordTime:
    """When a word is heard, in seconds; `word` is what the listener understood."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class WordTimes(SpeechEvent):
    """The words of a sentence, in seconds of the answer. `sentence` is its number.

    They come after the sentence's SentenceTimes, when the listener has answered. If it has no times, a SpeechWarning
    with NO_WORDS comes instead.
    """

    sentence: int
    words: tuple[WordTime, ...]


@dataclass(frozen=True, slots=True)
class MarkTime(SpeechEvent):
    """When a mark is reached, in seconds; within a sentence it is an estimate, from the length of its text."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class IgnoredMarkup(SpeechEvent):
    """Elements and attributes of SSML, as `element` or `element@attribute`, that have no effect here."""

    names: tuple[str, ...]
