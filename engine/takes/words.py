"""Compares what a listener understood with what was to be said."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from opencc import OpenCC
from rapidfuzz.distance import Levenshtein

from engine.text import Language, TextOptions, normalise

_BRACKETS: Final = str.maketrans("()[]<>", "      ")
_APOSTROPHE: Final = str.maketrans("’", "'")
_INITIALS: Final = re.compile(r"\b(?:[^\W\d_]\.){2,}")  # p.m., U.S.A.


def error_rate(said: str, heard: str, language: Language = "en") -> float:
    """The word error rate of `heard` against `said`, which is normalised; the character error rate in Chinese.

    Both go through the normalization by which Whisper's own errors are counted (Radford et al. 2022, appendix C).
    Traditional characters count as the simplified ones. What stands in brackets was no speech, such as [Music].

    >>> error_rate("it costs three dollars", "It costs $3!")
    0.0
    """
    wanted = _units(said.translate(_BRACKETS), language)
    found = _units(normalise(heard, TextOptions(language=language)), language)
    return Levenshtein.distance(wanted, found) / max(1, len(wanted))


def _units(text: str, language: Language) -> list[str]:
    """The words of a text; in Chinese, its characters."""
    text = _INITIALS.sub(lambda initials: initials[0].replace(".", ""), text.translate(_APOSTROPHE))
    words = _normalizer(language)(text).split()
    return list(_traditional().convert("".join(words)).replace("〇", "零")) if language == "zh" else words


@cache
def _normalizer(language: Language) -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    if language == "en":
        return EnglishTextNormalizer({})  # type: ignore[no-untyped-call]
    return BasicTextNormalizer(remove_diacritics=True)


@cache
def _traditional() -> OpenCC:
    """What makes simplified characters of traditional ones."""
    return OpenCC("t2s")
