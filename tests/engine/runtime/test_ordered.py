"""Streams that run side by side are yielded in order; an error comes in its order, and closing ends all streams."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import pytest

from engine.runtime.ordered import in_order


class Streams:
    """Streams of a few numbers each, of which the later are the faster; counts those that run."""

    def __init__(self) -> None:
        self.running = 0
        self.most_running = 0

    async def stream(self, number: int, fail: bool = False) -> AsyncGenerator[int, None]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            for step in range(3):
                await asyncio.sleep(0.01 / (number + 1))
                yield 10 * number + step
            if fail:
                raise RuntimeError(f"stream {number}")
        finally:
            self.running -= 1


async def test_items_come_in_order_and_no_more_streams_run_than_may() -> None:
    streams = Streams()
    items = [item async for item in in_order([partial(streams.stream, n) for n in range(5)], 2)]
    assert items == [10 * n + step for n in range(5) for step in range(3)]
    assert streams.most_running == 2
    assert streams.running == 0


async def test_an_error_comes_in_its_place_and_ends_the_others() -> None:
    streams, heard = Streams(), []

    async def listen() -> None:
        async for item in in_order([partial(streams.stream, n, fail=n == 1) for n in range(4)], 3):
            heard.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(RuntimeError, match="stream 1"):
        await listen()
    assert heard == [0, 1, 2, 10, 11, 12]
    assert streams.running == 0


@pytest.mark.parametrize("heard", [0, 1, 4])
async def test_closing_ends_all(heard: int) -> None:
    streams = Streams()
    async with aclosing(in_order([partial(streams.stream, n) for n in range(4)], 3)) as items:
        for _ in range(heard):
            await anext(items)
    assert streams.running == 0


async def test_nothing() -> None:
    assert [item async for item in in_order([], 3)] == []
