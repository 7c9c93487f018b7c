"""What a sentence may be like by its text: how long, in tokens of 20 ms, and what is said several times in a row."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from engine.text import is_speakable, speech_weight
from engine.types import TOKENS_PER_SECOND

SLACK = 15  # tokens, 0.3 s: what short words differ by, whatever their length
DRAWL = 40  # tokens, 0.8 s: what a single word may take beyond its estimate
PAUSE = 25  # tokens, 0.5 s: what a speaker may pause at punctuation, which the estimate hardly counts
FASTEST = 0.4  # of all voices: its lengths, by the estimate of `speech_weight`
ANY_VOICE = (FASTEST, 2.0)  # the fastest and the slowest
ONE_VOICE = (0.6, 1.7)  # sentences of one voice, by that voice's own rate
COMPLETE = 0.8  # of one voice's sentences, hardly one is shorter
USUAL = 1.05  # while tokens come at 100 a second, a listener hears no gap because what is beyond was held
BRIEF = 30  # tokens, 0.6 s: what a short sentence takes, whatever the estimate

_PUNCTUATION = re.compile(r"[.,;:!?…—–，。；：、！？]")
_REPEATED = re.compile(r"(.{1,60}?)\1{2,}")


@dataclass(frozen=True, slots=True)
class Lengths:
    """Bounds of a sentence's length, from its first sound to its last, in tokens.

    Fewer than `third` are too few for a third of the words. With fewer than `complete`, a take that had to go on after
    another has lost words. `expected` is the likeliest length; `usual` is what may be heard before a take has passed.
    `said` is how many times in a row the text says the same.
    """

    third: int
    shortest: int
    complete: int
    expected: int
    usual: int
    longest: int
    said: int = 1

    @classmethod
    def of(cls, text: str, rate: float | None = None) -> Lengths:
        """The bounds for `text`. `rate` is a voice's own: its lengths, divided by the estimates of `speech_weight`."""
        estimate = TOKENS_PER_SECOND * speech_weight(text) * (rate or 1)
        least, most = ANY_VOICE if rate is None else ONE_VOICE
        shortest = max(0, math.floor(estimate * least) - SLACK)
        return cls(
            third=math.floor(estimate * (least if rate is None else 1) / 3),
            shortest=shortest,
            complete=shortest if rate is None else math.floor(estimate * COMPLETE),
            expected=math.ceil(estimate),
            usual=max(BRIEF, math.ceil(estimate * USUAL)),
            longest=math.ceil(estimate * most) + DRAWL + PAUSE * _pauses(text),
            said=_said(text),
        )


def _pauses(text: str) -> int:
    """The places inside a text where its punctuation lets a speaker pause."""
    return max(0, sum(map(is_speakable, _PUNCTUATION.split(text))) - 1)


@lru_cache(maxsize=1024)
def _said(text: str) -> int:
    """How many times in a row a text says the same: 5 in "Ha ha, ha ha ha!"; 1 if it is less than 3.

    Letters count, and not words, so that "hahaha" and "Nooo" do too. Two of a letter are no repetition.
    """
    letters = "".join(filter(str.isalnum, text.casefold()))
    return max((len(found[0]) // len(found[1]) for found in _REPEATED.finditer(letters)), default=1)
