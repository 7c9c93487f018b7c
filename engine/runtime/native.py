"""Native objects, such as encoders and filters: calls are serialized, and an object is never closed during a call."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from engine.errors import EngineClosed

logger = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class Native(Generic[T]):
    """An object that is created, called and closed in an executor's threads, one call at a time and in order.

    It exists inside its context:

        async with Native(executor, make, close) as encoder:
            data = await encoder.run(Encoder.encode, samples)

    Cancellation cannot stop the thread of a call. Therefore, leaving the context does not wait: it queues the closing
    after the pending calls. The object is closed once, in one of the executor's threads.
    """

    def __init__(self, executor: Executor, make: Callable[[], T], close: Callable[[T], object]) -> None:
        self._executor = executor
        self._make = make
        self._close = close
        self._made: T | None = None
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = threading.Lock()  # guards `_calls` and `_busy`
        self._busy = False

    async def __aenter__(self) -> Native[T]:
        """Create the object; raises what `make` raises."""
        try:
            await asyncio.wrap_future(self._submit(self._begin))
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        """Queue the closing of the object."""
        self._leave()

    async def run(self, function: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return `function(object, ...)`. If the caller is cancelled before the call begins, the call is skipped.

        Raises what the function raises, EngineClosed if the executor was shut down, and RuntimeError outside the
        context.
        """
        return await asyncio.wrap_future(self._submit(partial(self._call, function, *args, **kwargs)))

    def _submit(self, call: Callable[[], R]) -> Future[R]:
        future: Future[R] = Future()
        with self._lock:
            if not self._busy:
                try:
                    self._executor.submit(self._work)
                except RuntimeError as error:  # the executor was shut down
                    raise EngineClosed from error
                self._busy = True
            self._calls.append((future, call))
        return future

    def _work(self) -> None:
        """Run calls until none is left."""
        while True:
            with self._lock:
                if not self._calls:
                    self._busy = False
                    return
                future, call = self._calls.popleft()
            if future.set_running_or_notify_cancel():  # False if its caller was cancelled
                try:
                    future.set_result(call())
                except Exception as error:
                    future.set_exception(error)
            del future, call  # releases their objects now, and breaks reference cycles with an error

    def _begin(self) -> None:
        self._made = self._make()

    def _call(self, function: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._made is None:
            raise RuntimeError("The native object is not open.")
        return function(self._made, *args, **kwargs)

    def _leave(self) -> None:
        with suppress(EngineClosed):  # the executor was shut down: the process ends
            self._submit(self._end)

    def _end(self) -> None:
        made, self._made = self._made, None
        if made is None:
            return
        try:
            self._close(made)
        except Exception:
            logger.exception("A native object could not be closed")
