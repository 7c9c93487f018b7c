"""A thread that works while there is work, and that can be closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.errors import EngineClosed


class WorkerThread:
    """Repeats `work` in a thread of its own, for as long as `has_work` says that there is some."""

    def __init__(
        self, name: str, *, has_work: Callable[[], object], work: Callable[[], None], abandon: Callable[[], None]
    ) -> None:
        """Start the thread, a daemon.

        Args:
            name: of the thread.
            has_work: says whether there is something to do; called with the lock held.
            work: does it; called without the lock, and must not raise.
            abandon: ends what still waits when the thread is closed; called once, with the lock held.

        """
        self.lock = threading.Lock()
        """Guards what the callers and the thread share."""
        self._has_work, self._work, self._abandon = has_work, work, abandon
        self._changed = threading.Condition(self.lock)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Hold the lock while work is added, then wake the thread. Raises EngineClosed after `close`."""
        with self.lock:
            if self._closed:
                raise EngineClosed
            yield
            self._changed.notify()

    async def close(self) -> None:
        """Stop the thread after its current work, and wait until it has ended."""
        with self.lock:
            self._closed = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            with self.lock:
                self._changed.wait_for(lambda: self._closed or self._has_work())
                if self._closed:
                    self._abandon()
                    return
            self._work()
