"""Streams that run side by side are yielded in order; an error comes in its order, and closing ends all streams."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from functools import partial

import pytest

from engine.runtime.ordered import Stream, in_order


async def each(streams: Iterable[Stream[int]]) -> AsyncIterator[Stream[int]]:
    for stream in streams:
        yield stream


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
    items = [item async for item in in_order(each(partial(streams.stream, n) for n in range(5)), 2)]
    assert items == [10 * n + step for n in range(5) for step in range(3)]
    assert streams.most_running == 2
    assert streams.running == 0


async def test_an_error_comes_in_its_place_and_ends_the_others() -> None:
    streams, heard = Streams(), []

    async def listen() -> None:
        async for item in in_order(each(partial(streams.stream, n, fail=n == 1) for n in range(4)), 3):
            heard.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(RuntimeError, match="stream 1"):
        await listen()
    assert heard == [0, 1, 2, 10, 11, 12]
    assert streams.running == 0


@pytest.mark.parametrize("heard", [0, 1, 4])
async def test_closing_ends_all(heard: int) -> None:
    streams = Streams()
    async with aclosing(in_order(each(partial(streams.stream, n) for n in range(4)), 3)) as items:
        for _ in range(heard):
            await anext(items)
    assert streams.running == 0


async def test_nothing() -> None:
    assert [item async for item in in_order(each(()), 3)] == []


async def test_a_stream_that_comes_late_is_started_at_once() -> None:
    streams, arrive = Streams(), asyncio.Event()

    async def late() -> AsyncIterator[Stream[int]]:
        yield partial(streams.stream, 0)
        await arrive.wait()
        yield partial(streams.stream, 1)

    async with aclosing(in_order(late(), 2)) as items:
        assert [await anext(items) for _ in range(3)] == [0, 1, 2]
        arrive.set()
        assert [item async for item in items] == [10, 11, 12]


async def test_an_error_of_the_source_comes_after_what_was_before_it() -> None:
    streams, heard = Streams(), []

    async def broken() -> AsyncIterator[Stream[int]]:
        yield partial(streams.stream, 0)
        raise RuntimeError("the source")

    async def listen() -> None:
        async for item in in_order(broken(), 2):
            heard.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(RuntimeError, match="the source"):
        await listen()
    assert heard == [0, 1, 2]
    assert streams.running == 0
