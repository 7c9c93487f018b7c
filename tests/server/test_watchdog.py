"""A process with a blocked event loop logs this and ends; a process that was only stopped continues."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import pytest

from server.watchdog import EXIT_CODE
from tests.server import forked

SECONDS = 1.0


@contextmanager
def serving(checkpoint: Path, directory: Path, seconds: float = SECONDS) -> Iterator[tuple[BaseProcess, httpx.Client]]:
    with (
        forked.serving(checkpoint, directory, seconds) as (process, url),
        httpx.Client(base_url=url, timeout=120) as http,
    ):
        yield process, http


def block(http: httpx.Client, how: str) -> None:
    with suppress(httpx.TransportError):  # the process ends
        http.post(how)


def test_a_blocked_loop_ends_the_process_and_the_log_says_where_it_was(small_checkpoint: Path, tmp_path: Path) -> None:
    with serving(small_checkpoint, tmp_path) as (process, http):
        block(http, "/wait")
        process.join(120)
        assert process.exitcode == EXIT_CODE != 0
    log = (tmp_path / "log").read_text()
    assert "The event loop has not turned for 1 s (0 requests run, 0 wait); the process ends" in log
    assert "in wait\n    threading.Event().wait()" in log


def test_a_call_that_holds_the_interpreter_for_ever_ends_the_process_too(
    small_checkpoint: Path, tmp_path: Path
) -> None:
    with serving(small_checkpoint, tmp_path) as (process, http):
        block(http, "/spin")
        process.join(120)
        assert process.exitcode == -signal.SIGPROF
    assert "in spin" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("times", [1, 3])
def test_a_process_that_was_stopped_goes_on(small_checkpoint: Path, tmp_path: Path, times: int) -> None:
    with serving(small_checkpoint, tmp_path) as (process, http):
        assert process.pid
        for _ in range(times):
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(2 * SECONDS)  # what the test is about
            os.kill(process.pid, signal.SIGCONT)
        for _ in range(20):
            assert http.get("/health/live").status_code == 200
        assert process.is_alive()


def test_it_can_be_turned_off(small_checkpoint: Path, tmp_path: Path) -> None:
    with serving(small_checkpoint, tmp_path, seconds=0) as (process, http):
        with pytest.raises(httpx.ReadTimeout):
            http.post("/wait", timeout=httpx.Timeout(60, read=2 * SECONDS))
        assert process.is_alive()
