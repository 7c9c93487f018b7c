"""Several streams that run side by side, and whose items are yielded one stream after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
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


async def in_order(streams: AsyncIterator[Stream[Item]], limit: int) -> AsyncGenerator[Item, None]:
    """Yield the items of all streams, in order, while up to `limit` streams run. Closing the generator cancels them.

    A stream starts as soon as it is known and there is room for it.
    """
    places = asyncio.Semaphore(limit)
    running: deque[_Running[Item]] = deque()
    started: asyncio.Queue[_Running[Item] | None] = asyncio.Queue()  # None is the end

    async def start() -> None:
        try:
            while True:
                await places.acquire()
                stream = await anext(streams, None)
                if stream is None:
                    return
                running.append(_Running(stream))
                started.put_nowait(running[-1])
        finally:
            started.put_nowait(None)

    starting = asyncio.create_task(start())
    try:
        while (stream := await started.get()) is not None:
            async for item in stream.items():
                yield item
            running.popleft()
            places.release()
        await starting
    finally:
        starting.cancel()
        for stream in running:
            stream.task.cancel()
        await asyncio.gather(starting, *(stream.task for stream in running), return_exceptions=True)
