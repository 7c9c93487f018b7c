"""The cost of window plans, and the token rates that they need for no underrun: `python -m benchmarks.windows`.

This is arithmetic only: nothing is decoded, and the decoder's own time is not counted.
"""

from __future__ import annotations

import statistics

from rich.console import Console
from rich.table import Table

from engine.codec.windows import Window, WindowPlan, Windows
from engine.types import TOKENS_PER_SECOND

GENERATOR = 0.94  # the wave generator's share of the decoder's arithmetic; the rest is the prenet's
RECEPTIVE_RADIUS = 11  # frames to each side that the wave generator uses
PLANS = (
    WindowPlan(first=12, lookahead_step=12, growth=2.5),
    WindowPlan(first=12),
    WindowPlan(growth=1.5),
    WindowPlan(),
    WindowPlan(growth=2),
    WindowPlan(first=20, growth=1.5),
)


def planned(plan: WindowPlan, tokens: int) -> list[Window]:
    """The windows of a sentence."""
    windows, found = Windows(plan), []
    while window := windows.next(tokens, ended=True):
        found.append(window)
    return found


def cost(plan: WindowPlan, tokens: int) -> float:
    """The decoder's work for a sentence in windows, relative to decoding it as a whole."""
    work = 0.0
    for window in planned(plan, tokens):
        end = min(window.end, window.keep_end + RECEPTIVE_RADIUS)
        frames = end - max(window.start, window.keep_start - RECEPTIVE_RADIUS)
        work += GENERATOR * frames + (1 - GENERATOR) * (window.end - window.start)
    return work / tokens


def rate_without_gaps(plan: WindowPlan, tokens: int) -> float:
    """The least tokens per second at which each window is ready when the one before has been played."""
    first, *others = planned(plan, tokens)
    # A window is ready `end - first.end` tokens after the first, and due when `keep_start` tokens have been played.
    return max((TOKENS_PER_SECOND * (w.end - first.end) / w.keep_start for w in others), default=0.0)


def main() -> None:
    """Print the table."""
    spans = {"2 s": (80, 120), "to 5 s": (121, 249), "to 12 s": (250, 600)}
    table = Table("first", "growth", "lookahead step", "first audio after", "no underrun from", *spans)
    for plan in PLANS:
        costs = [statistics.mean(cost(plan, tokens) for tokens in range(low, high + 1)) for low, high in spans.values()]
        rate = max(rate_without_gaps(plan, tokens) for tokens in range(30, 600))
        table.add_row(
            *(str(value) for value in (plan.first, plan.growth, plan.lookahead_step)),
            f"{plan.first + plan.first_lookahead} tokens",
            f"{rate:.0f} tokens/s",
            *(f"{value:.2f} x" for value in costs),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
