"""A text that is rewritten in steps, with a record of the changes and their rules."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engine.text.traced import Traced


@dataclass(frozen=True, slots=True)
class Change:
    """A change: the written text, the spoken text that replaces it (possibly empty), and the rule."""

    rule: str
    written: str
    spoken: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the characters from `start` to `end` by `text`. Without a `rule`, the change is not reported."""

    start: int
    end: int
    text: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class _Mark:
    """The current position of an earlier edit's result."""

    start: int
    end: int
    rule: str
    written: str


class Draft:
    """The current text, the marks of the changes in it, and the origin of each character."""

    def __init__(self, written: Traced) -> None:
        """Start with the written text."""
        self.text = written.text
        self._starts = written.starts
        self._ends = written.ends
        self._marks: list[_Mark] = []

    @property
    def traced(self) -> Traced:
        """The current text with the origin of each character."""
        return Traced(self.text, self._starts, self._ends)

    def apply(self, edits: Iterable[Edit]) -> None:
        """Apply edits, which must be in order and must not overlap."""
        made = [edit for edit in edits if self.text[edit.start : edit.end] != edit.text]
        if not made:
            return
        pieces, marks, done, grown = [], [], 0, 0
        starts, ends, shifts = [0], [0], [0]
        for edit in made:
            pieces += [self.text[done : edit.start], edit.text]
            start = edit.start + grown
            written = self.text[edit.start : edit.end]
            if edit.rule and written.strip() != edit.text.strip():
                marks.append(_Mark(start, start + len(edit.text), edit.rule, written.strip()))
            done = edit.end
            grown += len(edit.text) - (edit.end - edit.start)
            starts.append(edit.start)
            ends.append(edit.end)
            shifts.append(grown)
        pieces.append(self.text[done:])

        def moved(place: int, *, is_end: bool) -> int:
            """Map a position to the text after the edits; inside an edit, to the end of the edit on its side."""
            index = bisect_right(starts, place - is_end) - 1
            if index and place < ends[index]:
                return ends[index] + shifts[index] if is_end else starts[index] + shifts[index - 1]
            return place + shifts[index]

        old = [
            _Mark(
                moved(mark.start, is_end=False), moved(mark.end, is_end=mark.end > mark.start), mark.rule, mark.written
            )
            for mark in self._marks
        ]
        self._trace(made)
        self.text = "".join(pieces)
        self._marks = sorted(old + marks, key=lambda mark: mark.start)

    def _trace(self, edits: list[Edit]) -> None:
        """Find the origin of each character after these edits."""
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for edit in edits:
            starts += self._starts[done : edit.start]
            ends += self._ends[done : edit.start]
            if edit.start < edit.end:
                start, end = self._starts[edit.start], self._ends[edit.end - 1]
            else:  # inserted
                start = end = self._ends[edit.start - 1] if edit.start else self._starts[0] if self.text else 0
            starts += [start] * len(edit.text)
            ends += [end] * len(edit.text)
            done = edit.end
        self._starts = [*starts, *self._starts[done:]]
        self._ends = [*ends, *self._ends[done:]]

    def substitute(self, pattern: re.Pattern[str], new: str | Callable[[re.Match[str]], str], rule: str = "") -> None:
        """Replace every match of `pattern`, as `re.sub` does. A string `new` is literal."""
        self.apply(
            Edit(*match.span(), new if isinstance(new, str) else new(match), rule)
            for match in pattern.finditer(self.text)
        )

    def changes(self, sentences: Iterable[str]) -> list[tuple[Change, ...]]:
        """Return the changes in each of `sentences`, which are parts of the text, in order."""
        found: list[tuple[Change, ...]] = []
        place, index = 0, 0
        for sentence in sentences:
            place = self.text.index(sentence, place) + len(sentence)
            first = index
            while index < len(self._marks) and self._marks[index].start < place:
                index += 1
            found.append(tuple(map(self._change, self._marks[first:index])))
        if found:  # removals after the last sentence belong to it
            found[-1] += tuple(map(self._change, self._marks[index:]))
        return found

    def _change(self, mark: _Mark) -> Change:
        return Change(mark.rule, mark.written, self.text[mark.start : mark.end].strip())
