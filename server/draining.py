"""uvicorn, stopped gently: it keeps answering while what runs is finished, and tells what is new to go elsewhere."""

from __future__ import annotations

import signal
import time
from types import FrameType

import uvicorn

from server.service import Service


class DrainingServer(uvicorn.Server):
    """At the first signal the service takes nothing new; when nothing runs, or at the second, the server stops."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; uvicorn itself would close its port and then raise the signal again."""
        if self._until is None:
            self._service.drain()
            self._until = time.monotonic() + self._service.settings.drain_seconds
            return
        self.should_exit = True
        self.force_exit = sig == signal.SIGINT

    async def on_tick(self, counter: int) -> bool:
        """Stop when all is finished or its time is up; called ten times a second."""
        if self._until is not None and (self._service.idle or time.monotonic() > self._until):
            self.should_exit = True
        return await super().on_tick(counter)
