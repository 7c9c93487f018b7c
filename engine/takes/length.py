"""How long a sentence may take to say, in tokens of 20 ms."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.text import speech_weight
from engine.types import TOKENS_PER_SECOND

SLACK = 15  # tokens, 0.3 s: what short words differ by, whatever their length
DRAWL = 40  # tokens, 0.8 s: what a single word may take beyond its estimate
FASTEST = 0.4  # of all voices: its lengths, by the estimate of `speech_weight`
ANY_VOICE = (FASTEST, 2.0)  # the fastest and the slowest
ONE_VOICE = (0.6, 1.7)  # sentences of one voice, by that voice's own rate
COMPLETE = 0.8  # of one voice's sentences, hardly one is shorter
USUAL = 1.05  # while tokens come at 100 a second, a listener hears no gap because what is beyond was held
BRIEF = 30  # tokens, 0.6 s: what a short sentence takes, whatever the estimate


@dataclass(frozen=True, slots=True)
class Lengths:
    """Bounds of a sentence's length, from its first sound to its last, in tokens.

    Fewer than `third` are too few for a third of the words. With fewer than `complete`, a take that had to go on after
    another has lost words. `expected` is the likeliest length; `usual` is what may be heard before a take has passed.
    """

    third: int
    shortest: int
    complete: int
    expected: int
    usual: int
    longest: int

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
            longest=math.ceil(estimate * most) + DRAWL,
        )
