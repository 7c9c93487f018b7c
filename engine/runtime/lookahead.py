"""Limits the work that is generated ahead of playback, so that slots stay free for urgent work."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count

SOON = 5.0  # work is urgent from this many seconds before its due time


class Lookahead:
    """Starts urgent work immediately. Other work starts if fewer than `limit` run, earliest deadline first.

    Running work is never interrupted. Without this limit, a few long texts, generated far ahead of their playback,
    occupy all slots of the language model, and a new request waits for one of their sentences.
    Belongs to one event loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._arrivals = count()

    @asynccontextmanager
    async def take(self, due: float) -> AsyncGenerator[None, None]:
        """Wait until the work may start, and count it as running. `due` is in the event loop's time."""
        await self._turn(due)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._wake()

    async def _turn(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        patience = due - SOON - loop.time()
        if self._running < self._limit or patience <= 0:
            return
        turn = loop.create_future()
        heapq.heappush(self._waiting, (due, next(self._arrivals), turn))
        try:
            await asyncio.wait((turn,), timeout=patience)
        except asyncio.CancelledError:
            if turn.done():
                self._wake()  # pass the turn on
            raise
        finally:
            turn.cancel()

    def _wake(self) -> None:
        """Start the waiting work with the earliest deadline, if the limit allows it."""
        while self._waiting and self._running < self._limit:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
