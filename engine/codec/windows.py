"""Which tokens to decode when, while they are still coming, and what of the result is new: pure arithmetic.

The decoder's layers look 67 frames to either side, but what lies far away hardly matters. On golden full-size
weights, the last frame of a window that sees so many frames ahead has this signal-to-noise ratio against the
whole decode: 0 frames 1.5 dB, 4: 8 dB, 8: 17, 12: 32, 16: 52, 24: 107, which is float32's own rounding; and the
same to the left. So windows carry context on both sides that is thrown away, and need no cross-fade.

Only the prenet takes that context in whole; the wave generator, with all but a twentieth of the arithmetic, cannot
hear beyond 11 frames. In arithmetic, the default plan costs on average 1.50 times a whole decode for sentences of 2 s,
1.43 up to 5 s and 1.27 beyond. A lone stream whose tokens come twice as fast as they are heard, 100 a second, never
falls silent between windows, the decoder's own time aside. `python -m benchmarks.windows` compares plans: a first
window of 12 tokens sounds 4 tokens sooner, and costs 1.63; growth 2.5 with all of the lookahead from the second window
on costs 1.46, and needs 175 tokens a second.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Sizes in tokens, of 20 ms each.

    `first` tokens are decoded as soon as `first_lookahead` tokens after them are known. Each further window is `growth`
    times as long as the one before, up to `largest`, and its lookahead is `lookahead_step` longer, up to `context`. All
    windows have up to `context` tokens before them. The lookahead is at least one token, so that it is always known
    which window is the last.
    """

    context: int = 24
    first: int = 16
    first_lookahead: int = 12
    lookahead_step: int = 4
    growth: float = 1.75
    largest: int = 250


@dataclass(frozen=True, slots=True)
class Window:
    """Decode the tokens from `start` to `end`; those from `keep_start` to `keep_end` are new."""

    start: int
    keep_start: int
    keep_end: int
    end: int
    last: bool = False


class Windows:
    """The windows of one sentence, in order.

    They follow from the plan and the number of tokens alone, not from when the tokens came: the same tokens give
    the same samples whatever the load.
    """

    def __init__(self, plan: WindowPlan) -> None:
        self._plan = plan
        self._kept = 0  # tokens that windows so far have covered
        self._size = plan.first
        self._ahead = plan.first_lookahead

    def next(self, tokens: int, *, ended: bool) -> Window | None:
        """The next window that so many tokens allow, or None; call again until there is none.

        `ended` says that no more will come: what is left then is one window, without lookahead.
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
