"""Applies the rules that convert written forms to spoken words, in the language of the surrounding text.

A candidate is a run of digits, a sign or a word with which a rule begins. The rules of its group are tried in order;
the first that returns words replaces its match. Every repetition in a rule is atomic or bounded, and rules see a
limited window around a match: the time is linear in the length of the text.
"""

# ruff: noqa: D102 - the implementations document the protocol's methods

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from engine.text import chinese, english
from engine.text.draft import Edit
from engine.text.language import Language, Languages
from engine.text.script import is_cjk, is_han

WINDOW = 48
_SIGNS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻₀₁₂₃₄₅₆₇₈₉+±≥≤<>=×÷≈~%°"


class Speaker(Protocol):
    """A language: `english` and `chinese` are modules with these functions. Numbers come without separators."""

    def digits(self, text: str) -> str: ...
    def cardinal(self, number: str) -> str: ...
    def minus(self, spoken: str) -> str: ...
    def year(self, number: str) -> str: ...
    def ordinal(self, number: str) -> str: ...
    def pairs(self, number: str) -> str: ...
    def fraction(self, top: str, bottom: str) -> str: ...
    def mixed(self, whole: str, top: str, bottom: str) -> str: ...
    def span(self, first: str, last: str) -> str: ...
    def ratio(self, left: str, right: str) -> str: ...
    def groups(self, parts: list[str]) -> str: ...


@dataclass(frozen=True)
class Place:
    """The context of a match: the text, the match's bounds, and whether it is read in Chinese."""

    text: str
    start: int
    end: int
    chinese: bool

    @property
    def say(self) -> Speaker:
        """The language of the match."""
        return chinese if self.chinese else english

    @cached_property
    def before(self) -> str:
        """The text before the match, up to WINDOW characters."""
        return self.text[max(0, self.start - WINDOW) : self.start]

    @cached_property
    def after(self) -> str:
        """The text after the match, up to WINDOW characters."""
        return self.text[self.end : self.end + WINDOW]


Speak = Callable[[re.Match[str], Place], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern, and the function that returns the words for a match, or None if the rule does not apply."""

    name: str
    pattern: re.Pattern[str]
    speak: Speak


def rule(name: str, pattern: str) -> Callable[[Speak], Rule]:
    """Decorate the function that reads matches of `pattern`, a verbose regular expression."""
    return lambda speak: Rule(name, re.compile(pattern, re.VERBOSE), speak)


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules by group of `pattern`. A candidate is tried with the rules of the group that it matched."""

    pattern: re.Pattern[str]
    groups: dict[str, Sequence[Rule]]

    def edits(self, text: str, language: Language | None) -> Iterator[Edit]:
        """Return the edits of the rules in `text`, in order."""
        languages = Languages(text, language)
        done, last = 0, ""
        candidate = self.pattern.search(text)
        while candidate:
            edit, end = self._read(candidate, languages)
            if edit:
                beside = last if edit.start == done and done else text[edit.start - 1 : edit.start]
                edit = _spaced(edit, text, beside, done)
                yield edit
                done, last = edit.end, edit.text[-1:] or last
            candidate = self.pattern.search(text, end)

    def _read(self, candidate: re.Match[str], languages: Languages) -> tuple[Edit | None, int]:
        """Return the edit at a candidate, if any, and the position at which to continue."""
        text, start = candidate.string, candidate.start()
        in_chinese = languages.chinese_at(start)
        for rule in self.groups[str(candidate.lastgroup)]:
            match = rule.pattern.match(text, start)
            if not match:
                continue
            end = match.end()
            spoken = rule.speak(match, Place(text, start, end, in_chinese or _beside_han(text, start, end)))
            if spoken is not None:
                return (None if spoken == match[0] else Edit(start, end, spoken, rule.name)), max(end, start + 1)
        return None, candidate.end()


def _beside_han(text: str, start: int, end: int) -> bool:
    """Whether a match contains or touches Chinese characters, ignoring signs."""
    before = text[max(0, start - 4) : start].rstrip(_SIGNS)
    after = text[end : end + 8].lstrip(_SIGNS)
    return is_han(before[-1:]) or is_han(after[:1]) or any(map(is_han, text[start : min(end, start + WINDOW)]))


def _spaced(edit: Edit, text: str, before: str, done: int) -> Edit:
    """Add spaces between the words and letters, and remove them between Chinese characters."""
    start, end, spoken = edit.start, edit.end, edit.text
    if not spoken:
        return edit
    if _run_together(before, spoken[0]):
        spoken = " " + spoken
    elif start > done and before == " " and is_han(text[start - 2 : start - 1]) and is_han(spoken[0]):
        start -= 1
    if _run_together(spoken[-1], text[end : end + 1]):
        spoken += " "
    elif text[end : end + 1] == " " and is_han(text[end + 1 : end + 2]) and is_han(spoken[-1]):
        end += 1
    return Edit(start, end, spoken, edit.rule)


def _run_together(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and not (is_cjk(left) or is_cjk(right))
