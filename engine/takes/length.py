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
USUAL = 1.15


@dataclass(frozen=True, slots=True)
class Lengths:
    """Bounds of a sentence's length, from its first sound to its last, in tokens.

    Fewer than `third` are too few for a third of the words. `expected` is the likeliest length; few sentences are
    longer than `usual`.
    """

    third: int
    shortest: int
    expected: int
    usual: int
    longest: int

    @classmethod
    def of(cls, text: str, rate: float | None = None) -> Lengths:
        """The bounds for `text`. `rate` is a voice's own: its lengths, divided by the estimates of `speech_weight`."""
        estimate = TOKENS_PER_SECOND * speech_weight(text) * (rate or 1)
        least, most = ANY_VOICE if rate is None else ONE_VOICE
        return cls(
            third=math.floor(estimate * (least if rate is None else 1) / 3),
            shortest=max(0, math.floor(estimate * least) - SLACK),
            expected=math.ceil(estimate),
            usual=math.ceil(estimate * USUAL) + SLACK,
            longest=math.ceil(estimate * most) + DRAWL,
        )
