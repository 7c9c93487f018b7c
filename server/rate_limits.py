"""What one key may take: requests that run at once, and characters a minute."""

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
    """The key has used what it may for now; `retry_after` is when it may go on, in whole seconds."""

    def __init__(self, limit: str, retry_after: int) -> None:
        super().__init__(f"This API key may have {limit}; try again in {retry_after} s.")
        self.retry_after = retry_after


class KeyLimits:
    """Limits that hold for each caller by itself; None is no limit. `estimate` tells when a running one may end.

    A test may have shorter minutes, in seconds.
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
        """Yield `items` as one of the caller's requests; raises LimitReached before the first one."""
        async with aclosing(items):
            if self._requests and self._running[caller] >= self._requests:
                raise LimitReached(f"{self._requests} requests at once", self._estimate())
            if self._characters and not self._windows.hit(self._characters, caller, cost=characters):
                limit = f"{self._characters.amount} characters a minute"
                raise LimitReached(limit, self._seconds_until(self._characters, caller, characters))
            self._running[caller] += 1
            try:
                async for item in items:
                    yield item
            finally:
                self._running[caller] -= 1

    def _seconds_until(self, limit: RateLimitItem, caller: str, characters: int) -> int:
        """When so many characters are free. Of the window before this one, what is not a minute ago counts."""
        minute = limit.get_expiry()
        before, before_left, now, now_left = self._storage.get_sliding_window(limit.key_for(caller), minute)
        room = limit.amount - characters
        # Unless this window alone has too much: then it must first become the one before.
        wait = before_left - minute * (room - now) / max(before, 1) if now <= room else now_left - minute * room / now
        return max(1, math.ceil(wait))
