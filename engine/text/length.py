"""Estimates of the duration of speech, for balancing sentences and limiting the model.

English has about 15 characters per second (including spaces), Chinese about 4.5. Voices differ from this by up to a
third. Digits that remain after normalization, as in "GPT4", are one word each and count as Chinese characters.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from itertools import accumulate

from engine.text.script import CJK
from engine.types import TOKENS_PER_SECOND

LATIN_SECONDS = 1 / 15
BYTES_PER_SECOND = 40
"""Maximum bytes of UTF-8 per second of speech in ordinary text. A model can need one token per byte."""
CJK_SECONDS = 1 / 4.5

_CJK = re.compile(f"[{CJK}]")


def is_speakable(text: str) -> bool:
    """Whether the text has a letter or a digit of any script."""
    return any(char.isalnum() for char in text)


def weights(text: str) -> list[float]:
    """Return the seconds of each character, shape (len(text),).

    A run of spaces and punctuation counts as one Latin character, at the letter after it: many dots do not make a text
    long. A combining mark counts 0.
    """
    seconds = []
    begun = gap = False
    for char in text:
        rate = _rate(char)
        if rate is None:
            gap = begun
        if not rate:
            seconds.append(0.0)
            continue
        seconds.append(rate + LATIN_SECONDS if gap else rate)
        begun, gap = True, False
    return seconds


@lru_cache(maxsize=8192)
def _rate(char: str) -> float | None:
    """Return the seconds of a letter or digit, 0 for a combining mark, None for other characters."""
    if char.isalnum():
        return CJK_SECONDS if char.isnumeric() or _CJK.match(char) else LATIN_SECONDS
    return 0.0 if unicodedata.category(char).startswith("M") else None


def cumulative_sizes(text: str) -> list[float]:
    """Return the seconds up to each position in `text`, shape (len(text) + 1,), from 0 to the total.

    A character counts at least its bytes divided by BYTES_PER_SECOND. This also limits texts of marks and rare
    characters, which take many tokens and little time.
    """
    sizes = (
        max(seconds, len(char.encode("utf-8", "replace")) / BYTES_PER_SECOND)
        for char, seconds in zip(text, weights(text), strict=True)
    )
    return list(accumulate(sizes, initial=0.0))


def speech_weight(text: str) -> float:
    """Estimated seconds of speech in `text`.

    >>> round(speech_weight("The cat sat on the mat."), 1), round(speech_weight("今天天气很好。"), 1)
    (1.5, 1.3)
    """
    return sum(weights(text))


def max_semantic_tokens(sentence: str) -> int:
    """Return the maximum number of semantic tokens for `sentence`, to stop a model that does not end.

    The estimate is rough and voices can be slow: the limit is 2.5 times the estimate, plus one second for silence.
    """
    return math.ceil(TOKENS_PER_SECOND * (2.5 * speech_weight(sentence) + 1))
