"""Admission control: a limited number of running requests, and a bounded queue. Further requests fail immediately."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from engine import EngineError

Item = TypeVar("Item")

FIRST_GUESS = 5.0  # seconds that a request takes, until one has been measured
SMOOTHING = 0.2  # weight of the newest request in the running mean


class Overloaded(EngineError):
    """The queue is full. `retry_after` is the estimated time until there is a free slot, in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"The server is busy and its queue is full; try again in {retry_after} s.")
        self.retry_after = retry_after


class DeadlineExceeded(EngineError):
    """The request exceeded its deadline."""


class Deadline:
    """The deadline of one request, which may be set anew while its text is still being written."""

    def __init__(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now."""
        self._limit: asyncio.Timeout | None = None
        self.restart(seconds)

    def restart(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now, also for an awaitable that is bound already."""
        self._seconds = seconds
        self._at = time.monotonic() + seconds
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)

    async def bound(self, awaitable: Awaitable[Item]) -> Item:
        """Return the result of the awaitable; raises DeadlineExceeded at the deadline."""
        try:
            async with asyncio.timeout(self._at - time.monotonic()) as limit:
                self._limit = limit
                return await awaitable
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"The request was aborted after {self._seconds:g} s.") from None
        finally:
            self._limit = None


class Admission:
    """A bounded first-in, first-out queue for a limited number of slots.

    The deadline of a request is `deadline_seconds`, plus `deadline_factor` seconds per expected second of speech.
    """

    def __init__(self, max_running: int, max_waiting: int, deadline_seconds: float, deadline_factor: float = 0) -> None:
        self.running = 0
        self.waiting = 0
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._deadline_seconds = deadline_seconds
        self._deadline_factor = deadline_factor
        self._places = asyncio.Semaphore(max_running)
        self._mean_seconds = FIRST_GUESS

    def seconds(self, speech: float) -> float:
        """The time limit of a request with so many expected seconds of speech."""
        return self._deadline_seconds + self._deadline_factor * speech

    async def stream(
        self, items: AsyncGenerator[Item, None], speech: float = 0, deadline: Deadline | None = None
    ) -> AsyncGenerator[Item, None]:
        """Wait for a slot, then yield `items`. Closing the generator frees the slot.

        `speech` is the expected seconds of speech; they set the deadline, if there is no other. Raises Overloaded
        before the first item, DeadlineExceeded at any time.
        """
        deadline = deadline or Deadline(self.seconds(speech))
        async with aclosing(items):
            await self._take_place(deadline)
            begun = time.monotonic()
            try:
                while True:
                    try:
                        item = await deadline.bound(anext(items))
                    except StopAsyncIteration:
                        self._mean_seconds += SMOOTHING * (time.monotonic() - begun - self._mean_seconds)
                        return
                    yield item
            finally:
                self.running -= 1
                self._places.release()

    def retry_after(self) -> int:
        """Estimate the seconds until a new request gets a slot, after the requests in the queue."""
        rounds = (self.waiting + 1) / self._max_running
        return max(1, math.ceil(rounds * self._mean_seconds))

    async def _take_place(self, deadline: Deadline) -> None:
        if self._places.locked() and self.waiting >= self._max_waiting:
            raise Overloaded(self.retry_after())
        self.waiting += 1
        try:
            await deadline.bound(self._places.acquire())
        finally:
            self.waiting -= 1
        self.running += 1
