"""Several streams that run side by side, and whose items are yielded one stream after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Generic, TypeVar

Item = TypeVar("Item")
Stream = Callable[[], AsyncGenerator[Item, None]]


class _Running(Generic[Item]):
    """A stream that runs ahead of its consumer."""

    def __init__(self, stream: Stream[Item]) -> None:
        self._items: asyncio.Queue[Item | None] = asyncio.Queue()  # None is the end
        self.task = asyncio.create_task(self._run(stream))

    async def _run(self, stream: Stream[Item]) -> None:
        try:
            async with aclosing(stream()) as items:
                async for item in items:
                    self._items.put_nowait(item)
        finally:
            self._items.put_nowait(None)

    async def items(self) -> AsyncGenerator[Item, None]:
        """All items, then the stream's error if it had one."""
        while (item := await self._items.get()) is not None:
            yield item
        await self.task


async def in_order(streams: Iterable[Stream[Item]], limit: int) -> AsyncGenerator[Item, None]:
    """Yield the items of all streams, in order, while up to `limit` streams run. Closing the generator cancels them."""
    waiting = deque(streams)
    running: deque[_Running[Item]] = deque()
    try:
        while waiting or running:
            while waiting and len(running) < limit:
                running.append(_Running(waiting.popleft()))
            async for item in running[0].items():
                yield item
            running.popleft()
    finally:
        for stream in running:
            stream.task.cancel()
        await asyncio.gather(*(stream.task for stream in running), return_exceptions=True)
