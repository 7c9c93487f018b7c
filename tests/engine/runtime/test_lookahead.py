"""Who begins at once, and who waits while others may need the room."""

import asyncio

import pytest

from engine.runtime.lookahead import SOON, Lookahead

NEVER_SOON = 1000.0  # seconds


class Works:
    """Works that begin when they may, and end when they are told to."""

    def __init__(self, limit: int) -> None:
        self.lookahead = Lookahead(limit)
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def add(self, name: str, due_in: float) -> None:
        self._ends[name] = asyncio.Event()
        due = asyncio.get_running_loop().time() + due_in

        async def work() -> None:
            async with self.lookahead.take(due):
                self.begun.append(name)
                await self._ends[name].wait()

        self.tasks[name] = asyncio.create_task(work())
        await settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settle()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_due_begins_however_many_run() -> None:
    works = Works(1)
    for name in "abc":
        await works.add(name, 0)
    assert works.begun == ["a", "b", "c"]


async def test_what_is_not_due_waits_for_room_and_the_first_due_goes_first() -> None:
    works = Works(2)
    for name, due in (("a", 0), ("b", NEVER_SOON), ("c", NEVER_SOON + 2), ("d", NEVER_SOON + 1)):
        await works.add(name, due)
    assert works.begun == ["a", "b"]
    await works.add("now", 0)
    await works.end("a")
    assert works.begun == ["a", "b", "now"]  # two still run
    await works.end("now")
    await works.end("b")
    assert works.begun == ["a", "b", "now", "d", "c"]


async def test_what_waits_begins_when_it_is_due_soon() -> None:
    works = Works(1)
    await works.add("a", 0)
    await works.add("b", SOON + 0.02)
    assert works.begun == ["a"]
    while works.begun != ["a", "b"]:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("late", [False, True])
async def test_who_leaves_leaves_the_turn_to_the_next(late: bool) -> None:
    works = Works(1)
    for name, due in (("a", 0), ("b", NEVER_SOON), ("c", NEVER_SOON + 1)):
        await works.add(name, due)
    if late:  # it has been given its turn, and has not run yet
        works.tasks["a"].cancel()
        await asyncio.sleep(0)
        works.tasks["b"].cancel()
        await settle()
    else:
        await works.cancel("b")
        await works.end("a")
    assert works.begun == ["a", "c"]


async def test_an_error_gives_the_place_back() -> None:
    lookahead = Lookahead(1)

    async def fails(due: float) -> None:
        async with lookahead.take(due):
            raise ValueError("broken")

    due = asyncio.get_running_loop().time() + NEVER_SOON
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            await fails(due)
