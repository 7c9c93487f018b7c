"""A server in a process of its own, for benchmarks that measure over HTTP."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
import psutil
import uvicorn

from engine import Observer, SpeechEngine
from server.app import create_app
from server.connections import ClientConnection
from server.settings import Settings

Load = Callable[[Observer], SpeechEngine]


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    url: str
    pid: int

    def processor_seconds(self) -> float:
        """What its process has used of all processors so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def served(settings: Settings, load: Load | None = None) -> Generator[Served, None, None]:
    """Serve an engine, by default the settings', until the block ends. `load` is pickled."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(settings, load, port), daemon=True)
    process.start()
    try:
        assert process.pid is not None
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process.is_alive)
        yield Served(url, process.pid)
    finally:
        process.terminate()
        process.join()


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _serve(settings: Settings, load: Load | None, port: int) -> None:
    uvicorn.run(
        create_app(settings, load), http=ClientConnection, port=port, log_config=None, timeout_graceful_shutdown=5
    )


def _wait_until_ready(url: str, alive: Callable[[], bool]) -> None:
    with httpx2.Client(base_url=url, trust_env=False) as http:
        while alive():
            try:
                if http.get("/health/ready").status_code == 200:
                    return
            except httpx2.TransportError:  # it does not listen yet
                pass
            time.sleep(0.2)
    raise RuntimeError("The server did not start.")
