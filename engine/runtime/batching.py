"""A dynamic batcher around one worker thread: what is waiting when the thread is free runs together."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.errors import BackendFailed, EngineClosed
from engine.runtime.compute import Compute, run_inline

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One item that waits for `function`, which takes a list of items and returns a list of results."""

    function: Callable[[list[Any]], list[Any]]
    item: Any
    size: int
    due: float
    future: Future[Any]

    def pads_well_with(self, other: Job) -> bool:
        """Whether the two are close enough in size: padding at most doubles what an item costs."""
        return max(self.size, other.size) <= 2 * min(self.size, other.size)


class Batcher:
    """Runs functions on batches of items, the one that is due first before the others, in a thread of its own.

    A batch holds items of similar size that wait for the same function, at most `max_padded_size` in all when
    each is padded to the longest; one item alone may be larger.
    """

    def __init__(self, name: str, max_padded_size: int, compute: Compute = run_inline) -> None:
        """Start the thread; `compute` says where it works."""
        self._compute = compute
        self._max_padded_size = max_padded_size
        self._jobs: deque[Job] = deque()
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many items wait for the thread."""
        return len(self._jobs)

    async def run(self, function: Callable[[list[Item]], list[Result]], item: Item, size: int, due: float) -> Result:
        """Return what `function` makes of `item`, in a batch with whatever else waits for it.

        `size` is the item's unpadded length; `due` is when its result is needed, on any one clock. Raises
        BackendFailed if the function raised on the batch and EngineClosed after `close`. A caller that is
        cancelled before its batch begins costs nothing.
        """
        job = Job(function, item, size, due, Future())
        with self._changed:
            if self._stopping:
                raise EngineClosed("The engine has been closed.")
            self._jobs.append(job)
            self._changed.notify()
        result: Result = await asyncio.wrap_future(job.future)
        return result

    async def close(self) -> None:
        """Finish the current batch and stop; those who wait get EngineClosed."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._stopping)
                if self._stopping:
                    for job in self._jobs:
                        if job.future.set_running_or_notify_cancel():
                            job.future.set_exception(EngineClosed("The engine has been closed."))
                    return
            self._compute(self._work)

    def _work(self) -> None:
        """Take a batch and run it; what came while others were computing is in it."""
        with self._changed:
            batch = self._take()
        if batch:
            _run_batch(batch)

    def _take(self) -> list[Job]:
        """The job that is due first, and in the order of their due times those that fit into a batch with it."""
        batch: list[Job] = []
        left: deque[Job] = deque()
        for job in sorted(self._jobs, key=lambda job: job.due):
            if batch and not self._fits(job, batch):
                left.append(job)
            elif job.future.set_running_or_notify_cancel():  # False if its caller was cancelled
                batch.append(job)
        self._jobs = left
        return batch

    def _fits(self, job: Job, batch: list[Job]) -> bool:
        first = batch[0]
        padded = max(other.size for other in (job, *batch)) * (len(batch) + 1)
        return job.function == first.function and job.pads_well_with(first) and padded <= self._max_padded_size


def _run_batch(batch: list[Job]) -> None:
    try:
        results = batch[0].function([job.item for job in batch])
        for job, result in zip(batch, results, strict=True):
            job.future.set_result(result)
    except Exception as error:
        for job in batch:
            if not job.future.done():
                failure = BackendFailed(f"{batch[0].function.__name__} failed: {error}")
                failure.__cause__ = error
                job.future.set_exception(failure)
