"""How long a text takes to say: a rough rule of thumb, for balancing sentences and bounding the model.

Read aloud, English runs at about 15 characters a second (spaces counted) and Chinese at about 4.5 characters
a second. Voices differ from this by a third either way. Digits that normalisation left, as in "GPT4", are
each a word and count as Chinese characters.
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
"""More of UTF-8 in a second of speech is no ordinary text; a model may take a token for each byte of it."""
CJK_SECONDS = 1 / 4.5

_CJK = re.compile(f"[{CJK}]")


def is_speakable(text: str) -> bool:
    """Whether there is anything to say: a letter or a digit of any script."""
    return any(char.isalnum() for char in text)


def weights(text: str) -> list[float]:
    """Seconds that each character adds, shape (len(text),).

    A stretch of spaces and punctuation counts as one Latin character, at the letter that follows it, so
    that no number of dots makes a text long; a combining mark takes no time of its own.
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
    """Seconds for a letter or digit, 0 for a mark upon one, None for what lies between them."""
    if char.isalnum():
        return CJK_SECONDS if char.isnumeric() or _CJK.match(char) else LATIN_SECONDS
    return 0.0 if unicodedata.category(char).startswith("M") else None


def cumulative_weights(text: str) -> list[float]:
    """Seconds up to each place in `text`, shape (len(text) + 1,), from 0 to the weight of the whole."""
    return list(accumulate(weights(text), initial=0.0))


def cumulative_sizes(text: str) -> list[float]:
    """As `cumulative_weights`, but with a second for every BYTES_PER_SECOND where that is more.

    So a text of marks and rare characters, which take much of a model's context and little time to say, is bounded too.
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
    """The most semantic tokens that `sentence` may take, so that a model that never ends cannot run on.

    Generous, since the estimate is rough and a slow voice is no fault: two and a half times the estimate,
    and one second for the silence around it.
    """
    return math.ceil(TOKENS_PER_SECOND * (2.5 * speech_weight(sentence) + 1))
