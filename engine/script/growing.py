"""A text that is still being written: its sentences, each as soon as nothing that may follow can change it.

A sentence is settled if it stays the same with every one of several continuations, such as the rest of a word, a
closing quotation mark or a new paragraph. So the sentences are those of the whole text, however it arrives. There are
two exceptions. A quotation or a tag that is open for long is taken to stay open. And marks at the end of a text can
change how its beginning is read: a closing `</think>` without an opening one, or a language that is in the minority in
the part that was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from engine.script.plain import parse_plain
from engine.script.reading import Utterance, utterances
from engine.script.tree import Pause
from engine.text import Span, TextOptions

SECTION: Final = 4096
"""Characters of a text that are considered together: as many as a whole request has."""
_PATIENCE: Final = 400  # characters for which an open quotation or tag holds sentences back
_STEP: Final = 8  # characters that arrive between two looks
_END: Final = re.compile(r"[.!?。！？…\n;；:：\]]")
_CLAUSE_END: Final = re.compile(r"[.!?。！？…\n;；:：\],，、—–]")
_OPEN_TAG: Final = re.compile(r"\[[^\[\]\s]{0,24}$|<[^<>]{0,24}$")
_LONG: Final = " and so on and on"  # what an unfinished sentence may become
_CONTINUATIONS: Final = ("x", " x", " Xx", "5", " 5", "字", "\n\nX", 6 * _LONG, 16 * _LONG)
_PAIRS: Final = {"“": "”", "‘": "’", "「": "」", "『": "』", "(": ")", "（": "）", "【": "】", "《": "》", "<": ">"}

Unit = Utterance | Pause


@dataclass(frozen=True, slots=True)
class Flush:
    """In the place of more text: what is there is all for now, and is to be said."""


class GrowingText:
    """Collects a text and returns its sentences and pauses, each once and in order. Not for two threads at once."""

    def __init__(self, options: TextOptions) -> None:
        self._options = options
        self._ends = _CLAUSE_END if options.split == "clause" else _END
        self._text = ""  # of the section
        self._at = 0  # where the section begins in the whole
        self._given: list[Unit] = []  # of the section
        self._said = 0  # characters of the section that these cover
        self._looked = 0  # characters of the section at the last look
        self.following: Unit | None = None  # what comes after the units that were returned last

    def write(self, text: str) -> list[Unit]:
        """Add to the text; returns what is settled now. Raises InvalidRequest for a pause that is too long."""
        self._text += text
        if len(self._text) - self._looked < _STEP or not self._ends.search(self._text, self._said):
            return []
        self._looked = len(self._text)
        new = self._settled()
        if len(self._text) > SECTION and self._said:
            self._begin_section(self._said)
        return new

    def flush(self) -> list[Unit]:
        """Return all that is left, as if the text ended here. What is written later begins anew."""
        self.following = None
        if not self.pending:
            return []
        units = self._units(self._text)
        if self._reads_differently(units):
            self._begin_section(self._said)
            units = self._units(self._text)
        new = self._take(units)
        self._begin_section(len(self._text))
        return new

    @property
    def pending(self) -> bool:
        """Whether there is text that has not been returned."""
        return bool(self._text[self._said :].strip())

    def _settled(self) -> list[Unit]:
        text = _OPEN_TAG.sub("", self._text)
        all_units = self._units(text)
        units = self._whole(all_units[:-1])
        for continuation in (self._closing(text), *_CONTINUATIONS):
            if len(units) <= len(self._given):
                return []
            if continuation:
                units = _common(units, self._units(text + continuation))
        if self._reads_differently(units):
            self._begin_section(self._said)
            return self._settled()
        self.following = all_units[len(units)]
        return self._take(units)

    def _closing(self, text: str) -> str:
        """What closes all that is open in `text`, unless it has been open for long."""
        if len(text) - self._said > _PATIENCE + SECTION // 8:
            return ""
        unsaid = text[self._said :]
        closing = "".join(end for begin, end in _PAIRS.items() if unsaid.count(begin) > unsaid.count(end))
        closing += '"' if unsaid.count('"') % 2 else ""
        closing += "$" if unsaid.count("$") % 2 else ""
        closing += "](x.y)" if unsaid.count("[") > unsaid.count("]") else ""
        tags = re.findall(r"<(/?)(think|thinking|thought|reasoning|script|style)\b", text, re.IGNORECASE)
        closing += f"</{tags[-1][1]}>" if tags and not tags[-1][0] else ""
        closing += "-->" if text.count("<!--") > text.count("-->") else ""
        closing += "\n```\n" if text.count("```") % 2 else ""
        return closing + ("\n|-|-|\n" if "|" in unsaid else "")

    def _units(self, text: str) -> list[Unit]:
        return list(utterances(parse_plain(text, self._at).pieces, self._options))

    def _whole(self, units: list[Unit]) -> list[Unit]:
        """Without the parts of a sentence that has not ended: where a long one is split depends on all of it."""
        while units and not (isinstance(units[-1], Pause) or self._ends.search(units[-1].sentence.text[-4:])):
            units = units[:-1]
        return units

    def _take(self, units: list[Unit]) -> list[Unit]:
        """Return the units that were not returned before."""
        new = units[len(self._given) :]
        self._given = units
        self._said = max([self._said, *(_span(unit).end - self._at for unit in new)])
        return new

    def _reads_differently(self, units: list[Unit]) -> bool:
        """Whether the units do not begin with those that were returned."""
        return len(_common(self._given, units)) < len(self._given)

    def _begin_section(self, place: int) -> None:
        self._at += place
        self._text = self._text[place:]
        self._given, self._said, self._looked = [], 0, 0


def _span(unit: Unit) -> Span:
    return unit.span if isinstance(unit, Pause) else unit.sentence.traced.span


def _same(one: Unit, other: Unit) -> bool:
    if isinstance(one, Pause) or isinstance(other, Pause):
        return one == other
    return one.sentence.text == other.sentence.text and _span(one) == _span(other)


def _common(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """The units at the beginning that both have."""
    pairs: Iterator[tuple[Unit, Unit]] = zip(units, others, strict=False)
    return [one for one, _ in takewhile(lambda pair: _same(*pair), pairs)]
