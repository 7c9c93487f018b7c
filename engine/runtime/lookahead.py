"""Keeps slots free for what is needed now, while there is much that is only needed later."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count

SOON = 5.0  # seconds before its due time that work stops being ahead of it


class Lookahead:
    """Work that is due soon begins at once. What is not begins while fewer than `limit` run, or when it is due soon.

    Running work is never interrupted. So without a limit a few long texts, generated far ahead of their listeners,
    take all slots of the language model, and somebody who has heard nothing yet waits for a whole sentence of theirs.
    Belongs to one event loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._arrivals = count()

    @asynccontextmanager
    async def take(self, due: float) -> AsyncGenerator[None, None]:
        """Be counted as running, once this work may begin; `due` is in the event loop's time."""
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
                self._wake()  # the turn is another's
            raise
        finally:
            turn.cancel()

    def _wake(self) -> None:
        """Let the one begin that is due first, if there is room for it."""
        while self._waiting and self._running < self._limit:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
