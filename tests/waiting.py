"""Waiting for a condition, which tests do instead of sleeping for a fixed time."""

import asyncio
import time
from collections.abc import Callable

SECONDS = 240  # a condition that takes longer will not come true, on a busy host either
NEVER = 600  # seconds: a time limit that no test runs into which is not about it


def wait_until(condition: Callable[[], bool]) -> None:
    """Block until the condition is true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


async def until(condition: Callable[[], bool]) -> None:
    """Wait in the event loop until the condition is true."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)
