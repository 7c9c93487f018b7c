"""Ends the process when its event loop is blocked, so that the supervisor restarts it."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

logger = logging.getLogger(__name__)

EXIT_CODE: Final = 70  # EX_SOFTWARE of sysexits.h
_TICKS: Final = 20  # consecutive ticks that the loop must miss
_TELLING_SECONDS: Final = 5  # limit for writing the log, which can itself block


@contextmanager
def watched(seconds: float, known: Callable[[], str]) -> Generator[None, None, None]:
    """Watch the running event loop. The process ends if the loop is blocked for `seconds`; 0 disables the watchdog.

    The result of `known` is logged with the loop's stack. The watchdog counts its own ticks instead of time: a process
    that is stopped, or gets no processor, makes no ticks, and does not end.
    """
    if not seconds:
        yield
        return
    watchdog = _Watchdog(seconds / _TICKS, known)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


class _Watchdog(threading.Thread):
    """Schedules a callback on the loop at each tick, and counts the ticks without one."""

    def __init__(self, tick: float, known: Callable[[], str]) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._tick = tick
        self._known = known
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._missed = 0
        self._stopping = threading.Event()

    def run(self) -> None:
        if hasattr(signal, "SIGPROF"):
            faulthandler.register(signal.SIGPROF, file=2, all_threads=True, chain=True)
        with suppress(RuntimeError):  # the loop was closed
            while self._missed < _TICKS:
                self._missed += 1
                self._loop.call_soon_threadsafe(self._turned)
                self._limit_processor_time()
                if self._stopping.wait(self._tick):
                    return
            self._end()

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        self._limit_processor_time(off=True)

    def _turned(self) -> None:
        self._missed = 0

    def _limit_processor_time(self, *, off: bool = False) -> None:
        """Set a timer on processor time, for the case that this thread is blocked too.

        A call that holds the interpreter's lock and never returns blocks this thread. The timer then expires, and the
        kernel sends SIGPROF: faulthandler prints all stacks without the lock, and the signal ends the process.
        """
        if hasattr(signal, "setitimer"):
            seconds = 0 if off else self._tick * _TICKS * (os.cpu_count() or 1)
            signal.setitimer(signal.ITIMER_PROF, seconds)

    def _end(self) -> None:
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        telling.join(_TELLING_SECONDS)
        os._exit(EXIT_CODE)

    def _tell(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        stack = "".join(traceback.format_stack(frame)) if frame else "unknown"
        logger.critical(
            "The event loop has not turned for %g s (%s); the process ends, to be started again. The loop is here:\n%s",
            self._tick * _TICKS,
            self._known(),
            stack,
        )
        logging.shutdown()
