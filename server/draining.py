"""Graceful shutdown of uvicorn: running requests finish, new requests get 503."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from types import FrameType

import uvicorn

from server.connections import ClientConnection
from server.service import Service

logger = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """Drains at the first signal. Stops without requests, after `drain_seconds`, or at the second signal."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or end it. uvicorn itself would close its port, and raise the signal again later."""
        if self._until is None:
            self._service.drain()
            self._until = time.monotonic() + self._service.settings.drain_seconds
        else:
            self._until = -math.inf

    async def on_tick(self, counter: int) -> bool:
        """Stop when all requests are finished or the time is up; called ten times a second."""
        if self._until is not None and not self.should_exit:
            if self._service.idle:
                self.should_exit = True
            elif time.monotonic() > self._until:
                self._cut_off()
                self.should_exit = True
        return await super().on_tick(counter)

    def _cut_off(self) -> None:
        """Abort unfinished requests as if their clients had disconnected. uvicorn would log a stack trace for each."""
        connections = [one for one in self.server_state.connections if isinstance(one, ClientConnection)]
        unfinished = self._service.turns + sum(connection.cut_off() for connection in connections)
        logging.getLogger("uvicorn.error").addFilter(
            _is_no_cancellation
        )  # raised by requests that do not watch for a disconnect
        logger.warning("Requests that were not finished in time and are cut off: %d.", unfinished)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
