"""Joins lines: list items and headings become sentences, wrapped prose is joined."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.text.draft import Draft, Edit
from engine.text.length import is_speakable
from engine.text.script import is_chinese

_BULLET = re.compile(r"\s*(?:(?:[-*+>•·‣▪●○–—]|#{1,6})\s+)*")
_NUMBERED = re.compile(r"\s*(?:[0-9]{1,3}[.)、]|[a-zA-Z][.)])\s")
_SPACES = re.compile(r"\s{2,}|[^\S ]")
_SPACE_BEFORE_STOP = re.compile(r" (?=[.,!?;:]+(?: |$)|[，。！？；：、])")
_COMMAS = re.compile("[,，](?: ?[,，])+")
_TERMINAL = tuple(".!?。！？…")
_STOPS = ".,!?;:，。！？；：、"
_PAUSE = ",;:、，；：—–-"
_CLOSERS = "\"'”’」』)）]】》〉 "


def join_lines(draft: Draft) -> None:
    """Join the lines. Adds punctuation to a line that is a sentence of its own."""
    draft.apply(_joints(draft.text))


def tidy(draft: Draft) -> None:
    """Reduce spaces to single ones, with none at the ends and none before punctuation."""
    draft.substitute(_SPACES, " ")
    draft.substitute(_SPACE_BEFORE_STOP, "")
    draft.substitute(_COMMAS, lambda match: match[0][0])
    text = draft.text
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    draft.apply([Edit(0, start, ""), Edit(end, len(text), "")] if start < end else [Edit(0, len(text), "")])


def _joints(text: str) -> Iterator[Edit]:
    done, last, blank, place = 0, "", False, 0
    for line in text.split("\n"):
        begin = place
        place += len(line) + 1
        if not is_speakable(line):
            blank = True
            continue
        bullet = _BULLET.match(line)
        start = bullet.end() if bullet else 0
        content = line[start:].rstrip()
        is_item = bool(line[:start].strip()) or _NUMBERED.match(line) is not None
        if last:
            ends = (blank or is_item or not content[0].islower()) and content[0] not in _STOPS
            kept, stop = _ended(last, blank) if ends else (last, "")
            yield Edit(done - len(last) + len(kept), begin + start, f"{stop} ")
        else:
            yield Edit(0, begin + start, "")
        last, blank, done = content, False, begin + start + len(content)
    if last:
        yield Edit(done, len(text), "")


def _ended(line: str, blank: bool) -> tuple[str, str]:
    """Return the content of a line, with a full stop if it needs one."""
    core = line.rstrip(_CLOSERS)
    if core.endswith(_TERMINAL) or (core.endswith(tuple(_PAUSE)) and not blank):
        return line, ""
    return line.rstrip(_PAUSE + " "), "。" if is_chinese(line) else "."
