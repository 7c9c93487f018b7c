"""What a request says, before any of it is normalised: speech and pauses, in order, with their place in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import InvalidRequest
from engine.text import Language, Span, Traced

MAX_PAUSE_SECONDS = 30.0
MAX_PAUSES_SECONDS = 300.0  # all pauses of one text


@dataclass(frozen=True, slots=True)
class Speech:
    """Words that one speaker says in one go.

    `speaker` is the speaker's name in the text; None is the voice of the request. `voice` is that speaker's voice.
    `tempo` multiplies the request's speed. `language` is for texts that do not show theirs.
    """

    words: Traced
    voice: str | None = None
    speaker: str | None = None
    tempo: float = 1.0
    language: Language | None = None

    @property
    def text(self) -> str:
        """The words as they are written, without markup."""
        return self.words.text

    @property
    def span(self) -> Span:
        """Their place in the text of the request, markup between them included."""
        return self.words.span


@dataclass(frozen=True, slots=True)
class Pause:
    """Exact silence."""

    seconds: float
    span: Span


@dataclass(frozen=True, slots=True)
class Mark:
    """A name for a place in the text, whose time is reported."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Script:
    """All of a text. `ignored` names the markup that has no effect; the text in it is spoken."""

    pieces: tuple[Speech | Pause, ...]
    marks: tuple[Mark, ...] = ()
    ignored: tuple[str, ...] = ()

    def voices(self) -> Iterator[str]:
        """The voices that the text names."""
        return (piece.voice for piece in self.pieces if isinstance(piece, Speech) and piece.voice is not None)


def pause(seconds: float, span: Span, where: str = "") -> Pause:
    """Return a pause; raises InvalidRequest if it is too long. `where` says where it is, for the message."""
    if not seconds <= MAX_PAUSE_SECONDS:
        raise InvalidRequest(f"A pause{where} is {seconds:g} s; the longest is {MAX_PAUSE_SECONDS:g} s.", "input")
    return Pause(seconds, span)


def checked(script: Script) -> Script:
    """Return the script; raises InvalidRequest if its pauses are too long together."""
    total = sum(piece.seconds for piece in script.pieces if isinstance(piece, Pause))
    if total > MAX_PAUSES_SECONDS:
        raise InvalidRequest(
            f"The pauses of this text are {total:g} s together; at most {MAX_PAUSES_SECONDS:g} s are possible.", "input"
        )
    return script
