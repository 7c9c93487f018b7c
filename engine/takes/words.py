"""Compares what a listener understood with what was to be said."""

from __future__ import annotations

import re

from rapidfuzz.distance import Levenshtein

from engine.text import normalise
from engine.text.script import CJK, is_chinese

_UNITS = re.compile(rf"[{CJK}]|[^\W{CJK}]+(?:['’][^\W{CJK}]+)*")


def units(text: str) -> list[str]:
    """The words of a text in lower case; in Chinese, its characters."""
    return [unit.replace("’", "'") for unit in _UNITS.findall(text.casefold())]


def error_rate(said: str, heard: str) -> float:
    """The word error rate of `heard` against `said`, which is normalised; the character error rate in Chinese.

    >>> error_rate("it costs three dollars", "It costs $3!")
    0.0
    """
    wanted = units(said)
    if is_chinese(said):
        wanted, found = list("".join(wanted)), list("".join(units(normalise(heard))))
    else:
        found = units(normalise(heard))
    return Levenshtein.distance(wanted, found) / max(1, len(wanted))
