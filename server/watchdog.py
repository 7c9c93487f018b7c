"""Ends the process when its event loop turns no more, so that whoever supervises it starts it again."""

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
_TICKS: Final = 20  # in a row that the loop must miss
_TELLING_SECONDS: Final = 5  # for the log, which may be what blocks


@contextmanager
def watched(seconds: float, known: Callable[[], str]) -> Generator[None, None, None]:
    """Watch the running event loop, unless `seconds` is 0: blocked for so long, it costs the process its life.

    `known` is logged with the loop's stack. The watchdog counts its own ticks, not time: a process that is stopped,
    or gets no processor, has neither ticks nor turns, and is not ended for it.
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
    """Asks the loop for a sign of life at each tick."""

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
        """End the process should this thread not get here again while the others use all processors for so long.

        A call that never ends and holds the interpreter's lock stops this thread too. The kernel then sends SIGPROF,
        for which faulthandler prints all stacks without that lock, and which ends the process.
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
