"""The batcher: what runs together, and what happens to callers that wait."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable

import pytest

from engine.errors import BackendFailed, EngineClosed
from engine.runtime.batching import Batcher
from tests.waiting import NEVER, until


class Work:
    """Two functions on lists, which note their batches and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.gate.set()

    def double(self, items: list[int]) -> list[int]:
        self._note(items)
        return [2 * item for item in items]

    def negate(self, items: list[int]) -> list[int]:
        self._note(items)
        return [-item for item in items]

    def invert(self, items: list[int]) -> list[float]:
        self._note(items)
        return [1 / item for item in items]

    def _note(self, items: list[int]) -> None:
        self.batches.append(items)
        self.begun.set()
        self.gate.wait(NEVER)


@pytest.fixture
async def batcher() -> AsyncGenerator[Batcher, None]:
    batcher = Batcher("test", max_padded_size=100)
    yield batcher
    await batcher.close()


async def hold(batcher: Batcher, work: Work) -> asyncio.Task[int]:
    """Keep the thread busy with the item 0, so that what comes next has to wait."""
    work.gate.clear()
    task = asyncio.create_task(batcher.run(work.double, 0, 1, due=0))
    await asyncio.to_thread(work.begun.wait, NEVER)
    return task


async def waiting(batcher: Batcher, count: int) -> None:
    await until(lambda: batcher.waiting == count)


async def test_what_waits_for_the_same_function_runs_together(batcher: Batcher) -> None:
    work = Work()
    first = await hold(batcher, work)
    doubled = [asyncio.create_task(batcher.run(work.double, n, 10, due=0)) for n in (1, 2)]
    negated = asyncio.create_task(batcher.run(work.negate, 3, 10, due=0))
    doubled.append(asyncio.create_task(batcher.run(work.double, 4, 10, due=0)))
    await waiting(batcher, 4)
    work.gate.set()
    assert await asyncio.gather(first, *doubled, negated) == [0, 2, 4, 8, -3]
    assert work.batches == [[0], [1, 2, 4], [3]]


async def test_a_batch_is_bounded_by_its_padded_size(batcher: Batcher) -> None:
    work = Work()
    first = await hold(batcher, work)
    sizes = {1: 30, 2: 40, 3: 90, 4: 50, 5: 500}
    tasks = [asyncio.create_task(batcher.run(work.double, n, size, due=0)) for n, size in sizes.items()]
    await waiting(batcher, 5)
    work.gate.set()
    await asyncio.gather(first, *tasks)
    assert work.batches[1:] == [[1, 2], [3], [4], [5]]


async def test_items_of_very_different_sizes_are_not_padded_to_each_other(batcher: Batcher) -> None:
    work = Work()
    first = await hold(batcher, work)
    sizes = {1: 10, 2: 25, 3: 15, 4: 21}
    tasks = [asyncio.create_task(batcher.run(work.double, n, size, due=0)) for n, size in sizes.items()]
    await waiting(batcher, 4)
    work.gate.set()
    await asyncio.gather(first, *tasks)
    assert work.batches[1:] == [[1, 3], [2, 4]]


async def test_the_earliest_deadline_runs_first(batcher: Batcher) -> None:
    work = Work()
    first = await hold(batcher, work)
    dues = {1: 9.0, 2: 3.0, 3: 6.0}
    tasks = [asyncio.create_task(batcher.run(work.double, n, 90, due=due)) for n, due in dues.items()]
    await waiting(batcher, 3)
    work.gate.set()
    await asyncio.gather(first, *tasks)
    assert work.batches[1:] == [[2], [3], [1]]


async def test_what_comes_while_others_compute_is_in_the_batch() -> None:
    asked, turn, work = threading.Event(), threading.Event(), Work()

    def when_it_is_our_turn(function: Callable[[], None]) -> None:
        asked.set()
        turn.wait(NEVER)
        function()

    batcher = Batcher("test", max_padded_size=100, compute=when_it_is_our_turn)
    tasks = []
    for n, due in ((1, 5.0), (2, 3.0), (3, 4.0)):
        tasks.append(asyncio.create_task(batcher.run(work.double, n, 10, due=due)))
        await waiting(batcher, n)
        await asyncio.to_thread(asked.wait, NEVER)  # the thread waits for its turn
    turn.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6]
    assert work.batches == [[2, 3, 1]]
    await batcher.close()


async def test_a_cancelled_waiter_harms_nobody_and_costs_nothing(batcher: Batcher) -> None:
    work = Work()
    first = await hold(batcher, work)
    tasks = [asyncio.create_task(batcher.run(work.double, n, 1, due=0)) for n in (1, 2, 3)]
    await waiting(batcher, 3)
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    work.gate.set()
    results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert results[:2] == [0, 2]
    assert isinstance(results[2], asyncio.CancelledError)
    assert results[3] == 6
    assert work.batches[1:] == [[1, 3]]


async def test_one_who_leaves_while_the_batch_runs_harms_nobody(batcher: Batcher) -> None:
    work = Work()
    first = await hold(batcher, work)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    work.gate.set()
    assert await batcher.run(work.double, 5, 1, due=0) == 10


async def test_an_error_reaches_all_of_its_batch_and_no_one_else(batcher: Batcher) -> None:
    work = Work()
    first = await hold(batcher, work)
    tasks = [asyncio.create_task(batcher.run(work.invert, n, 1, due=0)) for n in (1, 0)]
    other = asyncio.create_task(batcher.run(work.negate, 7, 1, due=0))
    await waiting(batcher, 3)
    work.gate.set()
    results = await asyncio.gather(first, *tasks, other, return_exceptions=True)
    assert results[0] == 0
    assert [type(result) for result in results[1:3]] == [BackendFailed, BackendFailed]
    assert results[1] is not results[2]
    assert isinstance(results[1].__cause__, ZeroDivisionError)
    assert results[3] == -7
    assert await batcher.run(work.double, 4, 1, due=0) == 8  # the thread lives


async def test_closing_finishes_what_runs_and_ends_what_waits() -> None:
    batcher, work = Batcher("test", max_padded_size=100), Work()
    first = await hold(batcher, work)
    second = asyncio.create_task(batcher.run(work.double, 1, 1, due=0))
    await waiting(batcher, 1)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)  # it has begun
    work.gate.set()
    await closing
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert results[0] == 0
    assert isinstance(results[1], EngineClosed)
    with pytest.raises(EngineClosed):
        await batcher.run(work.double, 1, 1, due=0)
