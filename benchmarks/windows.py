"""What a plan of windows costs, and how fast tokens must come for it not to stall: `python -m benchmarks.windows`.

Arithmetic alone: nothing is decoded, and the decoder's own time is left out.
"""

from __future__ import annotations

import statistics

from rich.console import Console
from rich.table import Table

from engine.codec.windows import Window, WindowPlan, Windows
from engine.types import TOKENS_PER_SECOND

GENERATOR = 0.94  # of the decoder's arithmetic; the rest is the prenet's
REACH = 11  # frames to either side that the wave generator hears
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
    """The decoder's work on a sentence in windows, over that on the whole."""
    work = 0.0
    for window in planned(plan, tokens):
        heard = min(window.end, window.keep_end + REACH) - max(window.start, window.keep_start - REACH)
        work += GENERATOR * heard + (1 - GENERATOR) * (window.end - window.start)
    return work / tokens


def rate_without_gaps(plan: WindowPlan, tokens: int) -> float:
    """Tokens a second from which on each window is there when the one before has been heard."""
    first, *others = planned(plan, tokens)
    # A window comes `end - first.end` tokens after the first, and is due when `keep_start` tokens have been heard.
    return max((TOKENS_PER_SECOND * (w.end - first.end) / w.keep_start for w in others), default=0.0)


def main() -> None:
    """Print the table."""
    spans = {"2 s": (80, 120), "to 5 s": (121, 249), "to 12 s": (250, 600)}
    table = Table("first", "growth", "more ahead", "first sound after", "no gaps from", *spans)
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
