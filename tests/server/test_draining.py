"""Shutdown with running requests: they finish, or are aborted with one line in the log."""

import logging
import signal
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from engine.tokens.vocabulary import Vocabulary
from tests.engine.fakes import FIRST_WINDOW
from tests.server.conftest import COMMAND, wait_for_url
from tests.server.fakes import BODY, Fakes, draining, patient
from tests.waiting import wait_until

CREATED = {"name": (None, "Eve"), "gender": (None, "female"), "seed": (None, "4711")}


@pytest.mark.parametrize("drain_seconds", [0, 3600])
def test_what_is_not_finished_is_cut_off_in_one_line(
    vocabulary: Vocabulary, tmp_path: Path, caplog: pytest.LogCaptureFixture, drain_seconds: float
) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(drain_seconds=drain_seconds))
    with draining(fakes) as (server, thread, url), ThreadPoolExecutor(2) as pool:
        httpx.post(f"{url}/v1/audio/speech", json=BODY, timeout=60)  # the voice is created
        fakes.language_model.pause_after = FIRST_WINDOW
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=BODY | {"max_tokens": 60}, timeout=60) as heard:
            audio = heard.iter_raw()
            next(audio)
            fakes.language_model.gate.clear()
            unheard: list[Future[httpx.Response]] = [
                pool.submit(httpx.post, f"{url}/v1/audio/speech", json=BODY, timeout=60),
                pool.submit(httpx.post, f"{url}/v1/audio/voices", files=CREATED, timeout=60),
            ]
            wait_until(lambda: fakes.app.state.service.admission.running == 3)
            server.handle_exit(signal.SIGTERM, None)
            if drain_seconds:
                assert not any(answer.done() for answer in unheard)
                server.handle_exit(signal.SIGTERM, None)
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                list(audio)
        for answer in unheard:
            assert answer.result().status_code == 503
            assert answer.result().json()["error"]["message"] == "The server is shutting down."
        thread.join(120)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "Requests that were not finished in time and are cut off: 3.",
        "Cancel 1 running task(s), timeout graceful shutdown exceeded",
    ]
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_without_a_stack_trace(tmp_path: Path, stop: signal.Signals) -> None:
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen([COMMAND, "serve", "--port", "0"], stdout=output, stderr=subprocess.STDOUT)
    url = wait_for_url(process, log)
    minutes = {"model": "tts-1", "voice": "alloy", "input": "This sentence takes a while to say. " * 110}
    with httpx.stream("POST", f"{url}/v1/audio/speech", json=minutes, timeout=120) as answer:
        audio = answer.iter_raw()
        assert next(audio)
        process.send_signal(stop)
        wait_until(lambda: httpx.get(f"{url}/health/ready", timeout=60).status_code == 503)
        process.send_signal(stop)
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            list(audio)
        assert process.wait(120) == 0
    assert "Requests that were not finished in time and are cut off: 1." in log.read_text()
    assert "Traceback" not in log.read_text()
