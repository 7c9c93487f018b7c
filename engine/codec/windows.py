"""Decides which tokens are decoded together while more of them are generated: pure arithmetic.

The decoder's receptive field is 67 frames to each side, but distant frames have little effect. On golden full-size
weights, the last frame of a window with a given lookahead has this signal-to-noise ratio, compared with decoding the
whole sentence: 0 frames 1.5 dB, 4 frames 8 dB, 8 frames 17 dB, 12 frames 32 dB, 16 frames 52 dB, 24 frames 107 dB,
which is float32's rounding. The left side is the same. So windows have context on both sides, whose samples are
discarded, and need no cross-fade.

Only the prenet uses all of the context. The wave generator, with 95 % of the arithmetic, uses 11 frames to each side.
On average the arithmetic of the default plan is 1.50 times that of a whole decode for sentences of 2 s, 1.43 times up
to 5 s, and 1.27 times for longer ones. A single stream has no underrun between windows if 100 tokens are generated per
second, twice as many as are played, apart from the decoder's own time. `python -m benchmarks.windows` compares plans.
With a first window of 12 tokens, audio begins 4 tokens earlier, at 1.63 times the arithmetic. A growth of 2.5, with
all of the lookahead from the second window on, has 1.46 times the arithmetic, and needs 175 tokens per second.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Sizes in tokens of 20 ms.

    The first window has `first` tokens, and is decoded as soon as `first_lookahead` tokens after it are known. Each
    further window is `growth` times as long as the one before, up to `largest`, and its lookahead is `lookahead_step`
    longer, up to `context`. Windows have up to `context` tokens before them. The lookahead is one token or more, so
    that it is always known which window is the last.
    """

    context: int = 24
    first: int = 16
    first_lookahead: int = 12
    lookahead_step: int = 4
    growth: float = 1.75
    largest: int = 250


@dataclass(frozen=True, slots=True)
class Window:
    """The tokens from `start` to `end` are decoded, and the samples from `keep_start` to `keep_end` are kept."""

    start: int
    keep_start: int
    keep_end: int
    end: int
    last: bool = False


class Windows:
    """The windows of one sentence, in order.

    They depend on the plan and the number of tokens only, not on when the tokens were generated: the same tokens give
    the same samples under any load.
    """

    def __init__(self, plan: WindowPlan, kept: int = 0) -> None:
        """Begin after `kept` tokens, whose samples are known already."""
        self._plan = plan
        self._kept = kept  # tokens whose samples were kept so far
        self._size = plan.first
        self._ahead = plan.first_lookahead

    def next(self, tokens: int, *, ended: bool) -> Window | None:
        """The next window, given the number of tokens so far, or None. Call it again until it returns None.

        `ended` says that there will be no more tokens: the remaining tokens are then one window, without lookahead.
        """
        start = max(0, self._kept - self._plan.context)
        if tokens >= self._kept + self._size + self._ahead:
            window = Window(start, self._kept, self._kept + self._size, self._kept + self._size + self._ahead)
            self._size = min(int(self._size * self._plan.growth), self._plan.largest)
            self._ahead = min(self._ahead + self._plan.lookahead_step, self._plan.context)
        elif ended and tokens > self._kept:
            window = Window(start, self._kept, tokens, tokens, last=True)
        else:
            return None
        self._kept = window.keep_end
        return window
