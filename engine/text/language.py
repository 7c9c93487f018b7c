"""Detection of the language of each sentence in a text: Chinese or English."""

from __future__ import annotations

import re

from engine.text.script import is_chinese

Language = str
"""The first part of a BCP 47 tag. English and Chinese have rules of their own."""

_SENTENCE_END = re.compile(r"(?<=[。！？；\n])|(?<=[.!?])(?=\s[^\s0-9])")
_UNITS_OF_NUMBERS = re.compile(r"[0-9]\s?[A-Za-z/]{1,4}(?![A-Za-z])")


class Languages:
    """Detects Chinese sentences, for increasing positions.

    A sentence without letters has the given language, or that of the whole text.
    """

    def __init__(self, text: str, language: Language | None) -> None:
        otherwise = is_chinese(text) if language is None else language == "zh"
        self._ends: list[int] = []
        self._flags: list[bool] = []
        self._index = 0
        start = 0
        for end in [*(match.start() for match in _SENTENCE_END.finditer(text)), len(text) + 1]:
            sentence = text[start:end]
            letters = _UNITS_OF_NUMBERS.sub("", sentence) if otherwise else sentence
            self._flags.append(is_chinese(sentence) if any(map(str.isalpha, letters)) else otherwise)
            self._ends.append(end)
            start = end

    def chinese_at(self, place: int) -> bool:
        """Whether the sentence at this position is Chinese."""
        while self._ends[self._index] <= place:
            self._index += 1
        return self._flags[self._index]
