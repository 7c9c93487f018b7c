"""Rate limits per API key: concurrent requests, and characters per minute; in this process, or shared through Redis."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError

from engine import EngineError

Item = TypeVar("Item")

REDIS_SECONDS = 1.0  # for one command; a request must not wait longer for its limits
AWAY_SECONDS = 10.0  # after a failure of Redis, for which this process counts for itself
PREFIX = "fast-spark"

logger = logging.getLogger(__name__)


class LimitReached(EngineError):
    """The key has reached a limit. `retry_after` is the time until a retry can succeed, in whole seconds."""

    def __init__(self, limit: str, retry_after: int) -> None:
        super().__init__(f"This API key is limited to {limit}; try again in {retry_after} s.")
        self.retry_after = retry_after


class Places(Protocol):
    """The running requests of each caller."""

    async def take(self, caller: str, most: int, seconds: float) -> Callable[[], Awaitable[None]] | None:
        """Take one of a caller's `most` places for at most `seconds`; returns what frees it, or None if all are taken.

        Raises StorageError.
        """
        ...


class LocalPlaces:
    """Counts the requests of this process."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    async def take(self, caller: str, most: int, seconds: float) -> Callable[[], Awaitable[None]] | None:
        """See Places; a place is free only once it was freed."""
        if self._running[caller] >= most:
            return None
        self._running[caller] += 1

        async def free() -> None:
            self._running[caller] -= 1

        return free


class RedisPlaces:
    """A lock in Redis for each place. If a process dies, its locks end after the longest time of a request."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis

        self._redis = Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)

    async def take(self, caller: str, most: int, seconds: float) -> Callable[[], Awaitable[None]] | None:
        """See Places."""
        from redis.exceptions import RedisError

        try:
            for number in range(most):
                lock = self._redis.lock(f"{PREFIX}/place/{caller}/{number}", timeout=seconds, blocking=False)
                if await lock.acquire():
                    break
            else:
                return None
        except RedisError as error:
            raise StorageError(error) from error

        async def free() -> None:
            with suppress(RedisError):  # it has ended, or it ends by itself
                await lock.release()

        return free


class Characters:
    """The characters of each caller in a sliding window of time."""

    def __init__(self, storage: MemoryStorage | RedisStorage) -> None:
        self._storage = storage
        self._windows = SlidingWindowCounterRateLimiter(storage)

    async def take(self, limit: RateLimitItemPerSecond, caller: str, characters: int) -> int:
        """Count the characters if they fit; returns 0, or the seconds until they fit. Raises StorageError."""
        if await self._windows.hit(limit, caller, cost=characters):
            return 0
        # The previous window counts in proportion to its overlap.
        window = limit.get_expiry()
        before, before_left, now, now_left = await self._storage.get_sliding_window(limit.key_for(caller), window)
        room = limit.amount - characters
        # If the current window alone exceeds the room, it must first become the previous one.
        wait = before_left - window * (room - now) / max(before, 1) if now <= room else now_left - window * room / now
        return max(1, math.ceil(wait))


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted, and where."""

    places: Places
    characters: Characters


def local_counts() -> Counts:
    """Counts of this process."""
    return Counts(LocalPlaces(), Characters(MemoryStorage()))


def shared_counts(url: str) -> Counts:
    """Counts of all processes that use this Redis; raises EngineError if its library is missing."""
    uri = f"async+{url}"
    options = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
    try:
        storage = RedisStorage(uri, wrap_exceptions=True, implementation="redispy", key_prefix=PREFIX, **options)
        return Counts(RedisPlaces(url), Characters(storage))
    except (ConfigurationError, ImportError) as error:
        raise EngineError("Limits in Redis need its library: pip install 'fast-spark[cluster]'.") from error
    except ValueError as error:
        raise EngineError(f"Setting limits_storage: {error}.") from error


class KeyLimits:
    """Limits for each caller separately; None disables a limit.

    `estimate` returns the seconds until a running request is likely to end. `redis` is the URL of a Redis that counts
    for several processes; while it does not answer, this process counts for itself. `minute` is the window in
    seconds, shorter in tests.
    """

    def __init__(
        self,
        requests: int | None,
        characters_per_minute: int | None,
        estimate: Callable[[], int],
        minute: int = 60,
        redis: str | None = None,
    ) -> None:
        self._requests = requests
        self._characters = RateLimitItemPerSecond(characters_per_minute, minute) if characters_per_minute else None
        self._estimate = estimate
        self._local = local_counts()
        self._shared = shared_counts(redis) if redis else None
        self._shared_from = 0.0  # monotonic time

    async def stream(
        self, caller: str, characters: int, items: AsyncGenerator[Item, None], seconds: float = 3600
    ) -> AsyncGenerator[Item, None]:
        """Yield `items` as one of the caller's requests, which takes at most `seconds`.

        Raises LimitReached before the first item.
        """
        async with aclosing(items), AsyncExitStack() as held:
            await self._try(lambda counts: self._enter(counts, held, caller, characters, seconds))
            async for item in items:
                yield item

    async def charge(self, caller: str, characters: int) -> None:
        """Count more characters of a running request; raises LimitReached."""
        await self._try(lambda counts: self._count(counts, caller, characters))

    async def _try(self, work: Callable[[Counts], Awaitable[None]]) -> None:
        """Do the work with the shared counts, or with this process's own while Redis does not answer."""
        for counts in self._counts():
            try:
                await work(counts)
                return
            except StorageError as error:
                logger.warning("Redis does not answer, so each process has its own limits: %s", error)
                self._shared_from = time.monotonic() + AWAY_SECONDS

    def _counts(self) -> Iterator[Counts]:
        if self._shared and time.monotonic() >= self._shared_from:
            yield self._shared
        yield self._local

    async def _enter(self, counts: Counts, held: AsyncExitStack, caller: str, characters: int, seconds: float) -> None:
        """Take a place, and count the characters; raises LimitReached or StorageError."""
        if self._requests:
            free = await counts.places.take(caller, self._requests, seconds)
            if free is None:
                raise LimitReached(f"{self._requests} requests at once", self._estimate())
            held.push_async_callback(free)
        await self._count(counts, caller, characters)

    async def _count(self, counts: Counts, caller: str, characters: int) -> None:
        if self._characters and (wait := await counts.characters.take(self._characters, caller, characters)):
            raise LimitReached(f"{self._characters.amount} characters a minute", wait)
