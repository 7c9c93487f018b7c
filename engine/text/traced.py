"""A text whose characters know where they come from in the text that was asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """A part of the text that was asked for: the characters from `start` to before `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Traced:
    """A text, and for each character where its origin starts and ends in the original; neither ever decreases.

    A character that was inserted has an empty origin, and those of a replacement all have the origin of what it
    replaces.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def plain(cls, text: str, at: int = 0) -> Traced:
        """The part of the original that begins at `at`, unchanged."""
        return cls(text, range(at, at + len(text)), range(at + 1, at + len(text) + 1))

    def part(self, start: int, end: int) -> Traced:
        """The characters from `start` to before `end`."""
        return Traced(self.text[start:end], self.starts[start:end], self.ends[start:end])

    @property
    def span(self) -> Span:
        """The origin of the whole; empty at 0 for an empty text."""
        return Span(self.starts[0], self.ends[-1]) if self.text else Span(0, 0)

    def within(self, span: Span) -> str:
        """The part of the text whose origin lies in `span`."""
        return self.text[bisect_left(self.starts, span.start) : bisect_right(self.ends, span.end)]
