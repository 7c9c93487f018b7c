"""Native objects: one call at a time, and closed once, by a thread, behind whoever is inside."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from engine.errors import EngineClosed
from engine.runtime.native import Native
from tests.waiting import NEVER


class Machine:
    """Notes who enters it. A call whose number is that of `held` says that it is inside, and stays until it may go."""

    def __init__(self, held: int = -1, *, breaks: bool = False) -> None:
        self.held = held
        self.breaks = breaks
        self.calls = 0
        self.closed = 0
        self.overlapped = False
        self.threads: set[threading.Thread] = set()
        self.inside, self.may_go = threading.Event(), threading.Event()
        self._busy = False

    def make(self) -> "Machine":
        self._enter()
        return self

    def work(self) -> int:
        assert not self.closed
        return self._enter()

    def close(self) -> None:
        self._enter()
        self.closed += 1
        if self.breaks:
            raise OSError("it is stuck")

    def _enter(self) -> int:
        number, self.calls = self.calls, self.calls + 1
        self.threads.add(threading.current_thread())
        self.overlapped |= self._busy
        self._busy = True
        if number == self.held:
            self.inside.set()
            assert self.may_go.wait(NEVER)
        self._busy = False
        return number


def native(threads: ThreadPoolExecutor, machine: Machine) -> Native[Machine]:
    return Native(threads, machine.make, Machine.close)


async def use(native: Native[Machine], calls: int = 3) -> list[int]:
    async with native as machine:
        return [await machine.run(Machine.work) for _ in range(calls)]


async def test_calls_run_in_threads_and_in_order() -> None:
    machine = Machine()
    with ThreadPoolExecutor(4) as threads:
        assert await use(native(threads, machine)) == [1, 2, 3]
    assert machine.closed == 1
    assert threading.current_thread() not in machine.threads


@pytest.mark.parametrize("held", range(4))  # the making and each call
async def test_a_user_who_is_cancelled_at_any_call_leaves_the_closing_to_those_inside(held: int) -> None:
    machine = Machine(held)
    with ThreadPoolExecutor(4) as threads:
        user = asyncio.create_task(use(native(threads, machine)))
        await asyncio.to_thread(machine.inside.wait, NEVER)
        user.cancel()
        with pytest.raises(asyncio.CancelledError):
            await user  # does not wait for the call
        assert machine.closed == 0
        machine.may_go.set()
    assert (machine.closed, machine.overlapped) == (1, False)
    assert machine.calls == held + 2  # those up to the one that was held, and the closing
    assert threading.current_thread() not in machine.threads


async def test_many_users_at_once_enter_one_after_the_other() -> None:
    machine = Machine(held=1)
    with ThreadPoolExecutor(4) as threads:
        async with native(threads, machine) as opened:
            users = [asyncio.create_task(opened.run(Machine.work)) for _ in range(20)]
            await asyncio.to_thread(machine.inside.wait, NEVER)
            for user in users[1::2]:
                user.cancel()
            await asyncio.wait(users[1::2])
            machine.may_go.set()
            results = await asyncio.gather(*users, return_exceptions=True)
    assert [result for result in results if isinstance(result, int)] == list(range(1, 11))
    assert (machine.closed, machine.overlapped) == (1, False)


async def test_what_was_never_made_is_not_closed() -> None:
    machine, other = Machine(), Machine(held=0)
    with ThreadPoolExecutor(1) as threads:
        holding = asyncio.create_task(use(native(threads, other)))
        await asyncio.to_thread(other.inside.wait, NEVER)
        user = asyncio.create_task(use(native(threads, machine)))
        await asyncio.sleep(0)
        user.cancel()
        await asyncio.gather(user, return_exceptions=True)
        other.may_go.set()
        await holding
    assert (machine.calls, other.closed) == (0, 1)


async def test_errors_reach_who_asked() -> None:
    def fail(machine: Machine, reason: str) -> None:
        raise ValueError(reason)

    machine = Machine()
    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(ValueError, match="no such speed"):
            await use(Native(threads, partial(fail, machine, "no such speed"), Machine.close))
        assert machine.closed == 0
        opened = native(threads, machine)
        with pytest.raises(ValueError, match="bad samples"):
            async with opened:
                await opened.run(fail, "bad samples")
        with pytest.raises(RuntimeError, match="not open"):
            await opened.run(Machine.work)
    assert machine.closed == 1
    with pytest.raises(EngineClosed):
        await use(native(threads, machine))


async def test_an_object_that_cannot_be_closed_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(breaks=True)
    with ThreadPoolExecutor(1) as threads:
        await use(native(threads, machine))
    assert machine.closed == 1
    assert "it is stuck" in caplog.text
