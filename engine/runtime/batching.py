"""A dynamic batcher around one worker thread: items that wait when the thread becomes free run together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.errors import BackendFailed, EngineClosed
from engine.runtime.compute import Compute, run_inline
from engine.runtime.worker_thread import WorkerThread

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
        """Whether the two sizes are close enough: padding at most doubles the cost of an item."""
        return max(self.size, other.size) <= 2 * min(self.size, other.size)


class Batcher:
    """Runs functions on batches of items in a thread of its own, earliest deadline first.

    A batch holds items of similar size that wait for the same function. When each is padded to the longest, their
    sizes add up to `max_padded_size` at most; a single item may be larger.
    """

    def __init__(self, name: str, max_padded_size: int, compute: Compute = run_inline) -> None:
        """Start the thread `name`; `compute` says where the functions run."""
        self._compute = compute
        self._max_padded_size = max_padded_size
        self._jobs: deque[Job] = deque()
        self._thread = WorkerThread(
            name,
            has_work=lambda: self._jobs,
            work=lambda: self._compute(self._run_next_batch),
            abandon=self._abandon,
        )

    @property
    def waiting(self) -> int:
        """How many items wait for the thread."""
        return len(self._jobs)

    async def run(self, function: Callable[[list[Item]], list[Result]], item: Item, size: int, due: float) -> Result:
        """Return the result of `function` for `item`, which may run in a batch with others.

        `size` is the item's unpadded length. `due` is its deadline, on a clock that all callers share. Raises
        BackendFailed if the function raised on the batch, and EngineClosed after `close`. If the caller is
        cancelled before its batch begins, the item is not computed.
        """
        job = Job(function, item, size, due, Future())
        with self._thread.submitting():
            self._jobs.append(job)
        result: Result = await asyncio.wrap_future(job.future)
        return result

    async def close(self) -> None:
        """Finish the current batch and stop; callers that still wait get EngineClosed."""
        await self._thread.close()

    def _abandon(self) -> None:
        for job in self._jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(EngineClosed())

    def _run_next_batch(self) -> None:
        """Take a batch and run it. Items that came while `compute` was busy with other work can be in it."""
        with self._thread.lock:
            batch = self._take()
        if batch:
            _run_batch(batch)

    def _take(self) -> list[Job]:
        """The job with the earliest deadline and, in the order of their deadlines, those that fit into its batch."""
        batch: list[Job] = []
        remaining: deque[Job] = deque()
        for job in sorted(self._jobs, key=lambda job: job.due):
            if batch and not self._fits(job, batch):
                remaining.append(job)
            elif job.future.set_running_or_notify_cancel():  # False if its caller was cancelled
                batch.append(job)
        self._jobs = remaining
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
