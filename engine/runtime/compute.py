"""Where heavy work runs: in the calling thread, or in one thread that several callers share.

On a CPU the language model and the codec take turns in one shared thread. Each thread that calls torch has its own
pool of threads, one for each core. Two pools wait for each other at every barrier. Even an idle second pool makes
OpenMP put the threads of the first to sleep between operations. Measured on two cores, with two threads and with one:
a short answer of the small synthetic model took 3 to 21 s and about 1 s, a step of the full-size language model 0.16 s
and 0.10 s.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

Compute = Callable[[Callable[[], None]], None]
"""Runs a function and returns when it has finished; raises what the function raises."""


def run_inline(function: Callable[[], None]) -> None:
    """Run the function in the calling thread."""
    function()


def run_on(executor: Executor) -> Compute:
    """A Compute that runs functions in the executor."""

    def compute(function: Callable[[], None]) -> None:
        executor.submit(function).result()

    return compute
