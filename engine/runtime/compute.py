"""Where heavy work is done: in the thread that asks, or in one that several share.

On a CPU the language model and the codec share one thread, which takes turns between them. Each thread that calls
torch has a pool of its own, with a thread a core; two pools wait for each other at every barrier, and even idle,
a second one makes OpenMP put the first one's threads to sleep between operations. Measured on two cores: a short
answer of the small synthetic model took 3 to 21 s with two threads, and about 1 s with one; a step of the full-size
language model 0.16 s, and 0.10.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

Compute = Callable[[Callable[[], None]], None]
"""Runs a function and returns when it is done; an exception of the function is raised again."""


def run_inline(function: Callable[[], None]) -> None:
    """Run the function in the calling thread."""
    function()


def run_on(executor: Executor) -> Compute:
    """Run functions in the executor, first come, first served."""

    def compute(function: Callable[[], None]) -> None:
        executor.submit(function).result()

    return compute
