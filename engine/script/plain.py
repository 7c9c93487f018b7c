"""Plain text, in which `[pause:1.5s]` is a pause."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.script.tree import Pause, Script, Speech, pause
from engine.text import Span, Traced

_PAUSE = re.compile(r"\[pause:(?P<number>[0-9]{1,9}(?:\.[0-9]{0,9})?)(?P<unit>m?s)\]", re.IGNORECASE)


def parse_plain(text: str, at: int = 0) -> Script:
    """Return the script of a text that begins at `at` of the request's; raises InvalidRequest."""
    return Script(tuple(plain_pieces(text, at, Speech(Traced.plain("")))))


def plain_pieces(text: str, at: int, like: Speech) -> Iterator[Speech | Pause]:
    """Return the pauses of a text and the speech between them, said as `like` is."""
    done = 0
    for match in _PAUSE.finditer(text):
        yield from _speech(text, done, match.start(), at, like)
        seconds = float(match["number"]) / (1000 if match["unit"].lower() == "ms" else 1)
        yield pause(seconds, Span(at + match.start(), at + match.end()), f" ({match[0]})")
        done = match.end()
    yield from _speech(text, done, len(text), at, like)


def _speech(text: str, start: int, end: int, at: int, like: Speech) -> Iterator[Speech]:
    if start < end:
        yield Speech(Traced.plain(text[start:end], at + start), like.voice, like.speaker, like.tempo, like.language)
