"""Dialogue: lines of `NAME: what they say`, or `<role:NAME>` before what they say, as FlashTTS has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from engine.errors import InvalidRequest
from engine.script.format import Format
from engine.script.plain import plain_pieces
from engine.script.tree import Pause, Script, Speech
from engine.text import Span, Traced, is_speakable
from engine.text.script import CJK

# Any other name has no punctuation of sentences. A time or an address has no space or Chinese behind its colon.
_NAME = rf"[^\W\d][^\n:：.,!?;。，！？；<>\[\]\"“”]{{0,63}}?(?=[ \t]*(?::(?=[\s{CJK}“「『《（【]|$)|：))"


def parse_dialogue(text: str, form: Format, turn_pause: float) -> Script:
    """Return the script of a dialogue, with `turn_pause` seconds where the speaker changes.

    The form has the speakers' voices; if it has none, each name is that of a voice. A line without a name belongs to
    the turn before it, and text before the first turn is said in the request's voice. Raises InvalidRequest for a
    speaker without a voice.
    """
    return Script(tuple(_with_pauses(_turns(text, form), turn_pause)))


def _turns(text: str, form: Format) -> Iterator[tuple[str | None, list[Speech | Pause]]]:
    """Return the speaker of each turn, and its speech and pauses."""
    speaker, done, voices = None, 0, form.voices
    for match in _turn_pattern(form).finditer(text):
        yield _turn(text, done, match.start(), speaker, voices)
        speaker, done = (match["role"] or match["name"] or "").strip(), match.end()
        if match["role"] is None and voices and speaker not in voices:
            line = text.count("\n", 0, match.start("name")) + 1
            known = ", ".join(map(repr, voices))
            raise InvalidRequest(
                f"Line {line} is said by {speaker!r}, who has no voice; `voices` has {known}. A line that begins like "
                "this and is not a turn can be joined to the line before it.",
                "voices",
            )
    yield _turn(text, done, len(text), speaker, voices)


def _turn_pattern(form: Format) -> re.Pattern[str]:
    """What a turn begins with. A name that has a voice is known whatever is in it or behind its colon."""
    known = (rf"{re.escape(name)}(?=[ \t]*[:：])" for name in sorted(form.voices, key=len, reverse=True))
    names = "(?!)" if form.roles_only else "|".join([*known, _NAME])
    return re.compile(rf"<role:(?P<role>[^<>]*)>|^[ \t]*(?P<name>{names})[ \t]*[:：]", re.MULTILINE)


def _turn(
    text: str, start: int, end: int, speaker: str | None, voices: Mapping[str, str]
) -> tuple[str | None, list[Speech | Pause]]:
    voice = None if speaker is None else voices.get(speaker, speaker)
    like = Speech(Traced.plain(""), voice, speaker)
    return speaker, list(plain_pieces(text[start:end], start, like))


def _with_pauses(turns: Iterator[tuple[str | None, list[Speech | Pause]]], seconds: float) -> Iterator[Speech | Pause]:
    last: str | None = None
    heard = False
    for speaker, pieces in turns:
        says = any(isinstance(piece, Speech) and is_speakable(piece.text) for piece in pieces)
        if says and heard and speaker != last and seconds:
            start = pieces[0].span.start
            yield Pause(seconds, Span(start, start))
        yield from pieces
        last, heard = (speaker, True) if says else (last, heard)
