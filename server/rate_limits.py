"""Rate limits per API key: concurrent requests, and characters per minute."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from engine import EngineError

Item = TypeVar("Item")


class LimitReached(EngineError):
    """The key has reached a limit. `retry_after` is the time until a retry can succeed, in whole seconds."""

    def __init__(self, limit: str, retry_after: int) -> None:
        super().__init__(f"This API key is limited to {limit}; try again in {retry_after} s.")
        self.retry_after = retry_after


class KeyLimits:
    """Limits for each caller separately; None disables a limit.

    `estimate` returns the seconds until a running request is likely to end. `minute` is the window in seconds, shorter
    in tests.
    """

    def __init__(
        self,
        requests: int | None,
        characters_per_minute: int | None,
        estimate: Callable[[], int],
        minute: int = 60,
    ) -> None:
        self._requests = requests
        self._running: Counter[str] = Counter()
        self._estimate = estimate
        self._storage = MemoryStorage()
        self._windows = SlidingWindowCounterRateLimiter(self._storage)
        self._characters = RateLimitItemPerSecond(characters_per_minute, minute) if characters_per_minute else None

    async def stream(
        self, caller: str, characters: int, items: AsyncGenerator[Item, None]
    ) -> AsyncGenerator[Item, None]:
        """Yield `items` as one of the caller's requests; raises LimitReached before the first item."""
        async with aclosing(items):
            if self._requests and self._running[caller] >= self._requests:
                raise LimitReached(f"{self._requests} requests at once", self._estimate())
            self.charge(caller, characters)
            self._running[caller] += 1
            try:
                async for item in items:
                    yield item
            finally:
                self._running[caller] -= 1

    def charge(self, caller: str, characters: int) -> None:
        """Count characters for the caller's limit; raises LimitReached."""
        if self._characters and not self._windows.hit(self._characters, caller, cost=characters):
            limit = f"{self._characters.amount} characters a minute"
            raise LimitReached(limit, self._seconds_until(self._characters, caller, characters))

    def _seconds_until(self, limit: RateLimitItem, caller: str, characters: int) -> int:
        """Return the seconds until `characters` fit. The previous window counts in proportion to its overlap."""
        minute = limit.get_expiry()
        before, before_left, now, now_left = self._storage.get_sliding_window(limit.key_for(caller), minute)
        room = limit.amount - characters
        # If the current window alone exceeds the room, it must first become the previous one.
        wait = before_left - minute * (room - now) / max(before, 1) if now <= room else now_left - minute * room / now
        return max(1, math.ceil(wait))
