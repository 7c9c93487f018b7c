"""Many clients at once: queueing, refusals, disconnects, and the metrics."""

import asyncio
import re
import signal
import subprocess
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from engine.tokens.vocabulary import Vocabulary
from server.admission import Admission, DeadlineExceeded, Overloaded
from tests.engine.fakes import FIRST_WINDOW
from tests.server.conftest import COMMAND, Server, wait_for_url
from tests.server.fakes import BODY, TEXT, Fakes, metrics, patient, ready, set_event
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]


async def items(gate: asyncio.Event, count: int = 3) -> AsyncGenerator[int, None]:
    for n in range(count):
        await gate.wait()
        yield n


async def collect(stream: AsyncGenerator[int, None]) -> list[int]:
    return [item async for item in stream]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_requests_run_wait_or_are_sent_away() -> None:
    admission, gate = Admission(2, 1, 60), asyncio.Event()
    tasks = [asyncio.create_task(collect(admission.stream(items(gate)))) for _ in range(3)]
    await settle()
    assert (admission.running, admission.waiting) == (2, 1)
    with pytest.raises(Overloaded, match="busy") as caught:
        await collect(admission.stream(items(gate)))
    assert caught.value.retry_after == admission.retry_after() >= 1
    gate.set()
    assert await asyncio.gather(*tasks) == [[0, 1, 2]] * 3
    assert (admission.running, admission.waiting) == (0, 0)


async def test_who_came_first_is_served_first() -> None:
    admission, gate, order = Admission(1, 10, 60), asyncio.Event(), []

    async def ask(number: int) -> None:
        await collect(admission.stream(items(gate, 1)))
        order.append(number)

    tasks = [asyncio.create_task(ask(n)) for n in range(5)]
    await settle()
    tasks[2].cancel()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4]


async def test_the_estimate_follows_what_requests_take_and_how_many_wait() -> None:
    admission, gate = Admission(2, 10, 60), asyncio.Event()
    gate.set()
    before = admission.retry_after()
    admission.waiting = 9
    assert admission.retry_after() > 3 * before
    admission.waiting = 0
    for _ in range(30):
        await collect(admission.stream(items(gate)))
    assert admission.retry_after() == 1 < before


async def test_a_deadline_ends_a_request_that_runs_and_one_that_waits() -> None:
    admission, gate = Admission(1, 1, 0.05), asyncio.Event()
    answers = await asyncio.gather(*(collect(admission.stream(items(gate))) for _ in range(2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DeadlineExceeded] * 2
    assert (admission.running, admission.waiting) == (0, 0)


def test_the_deadline_is_longer_for_what_is_longer_to_say(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(deadline_seconds=0.5, deadline_factor=10))
    long = BODY | {"input": TEXT * 5}
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http, ThreadPoolExecutor(2) as pool:
        wait_until(lambda: ready(http))
        http.post("/v1/audio/speech", json=BODY)  # the voice is made
        fakes.language_model.gate.clear()
        short = pool.submit(http.post, "/v1/audio/speech", json=BODY | {"input": "Hi."})
        others = [pool.submit(http.post, "/v1/audio/speech", json=long | more) for more in ({}, {"speed": 4.0})]
        assert short.result().status_code == 504
        assert "aborted after" in short.result().json()["error"]["message"]
        set_event(fakes, fakes.language_model.gate)
        assert [other.result().status_code for other in others] == [200, 200]
        wait_until(lambda: metrics(http)["requests_running"] == 0)


async def test_an_error_of_the_request_frees_its_place() -> None:
    admission = Admission(1, 0, 60)

    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise TimeoutError("the device is gone")

    for _ in range(2):
        with pytest.raises(TimeoutError, match="the device is gone"):
            await collect(admission.stream(failing()))
    assert admission.running == 0


def test_overload_is_429_with_a_time_to_come_back(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(max_requests=2, max_waiting=2))
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http, ThreadPoolExecutor(10) as pool:
        wait_until(lambda: ready(http))
        http.post("/v1/audio/speech", json=BODY)
        fakes.language_model.gate.clear()
        answers = [pool.submit(http.post, "/v1/audio/speech", json=BODY) for _ in range(10)]
        wait_until(lambda: sum(answer.done() for answer in answers) == 6)
        refused = [answer.result() for answer in answers if answer.done()]
        for answer in refused:
            assert answer.status_code == 429
            assert answer.json()["error"]["type"] == "rate_limit_error"
            assert int(answer.headers["retry-after"]) >= 1
        set_event(fakes, fakes.language_model.gate)
        assert sorted(answer.result().status_code for answer in answers) == [200] * 4 + [429] * 6


@pytest.mark.parametrize("hears", [False, True])
def test_a_hundred_clients_that_leave_leave_nothing(
    vocabulary: Vocabulary, tmp_path: Path, serve: Serve, hears: bool
) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(max_requests=40 if hears else 8, max_waiting=100))
    body = BODY | {"max_tokens": 50}
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        http.post("/v1/audio/speech", json=body)
        before, threads = metrics(http), threading.active_count()

        def leave_unheard(number: int) -> None:
            with pytest.raises(httpx.ReadTimeout):
                http.post("/v1/audio/speech", json=body, timeout=httpx.Timeout(60, read=0.3 + number / 1000))

        def leave_half_way(number: int) -> None:
            with http.stream("POST", "/v1/audio/speech", json=body) as answer:
                assert next(answer.iter_raw())

        if hears:
            fakes.language_model.pause_after = FIRST_WINDOW
        else:
            fakes.language_model.gate.clear()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(leave_half_way if hears else leave_unheard, range(100)))
        wait_until(lambda: fakes.language_model.running == 0)
        wait_until(lambda: metrics(http)["requests_total cancelled"] == 100)
        after = metrics(http)
        assert (after["requests_running"], after["requests_waiting"]) == (0, 0)
        assert after["batch_windows_sum"] - before["batch_windows_sum"] == (100 if hears else 0)
        set_event(fakes, fakes.language_model.gate)
        fakes.language_model.pause_after = None
        assert http.post("/v1/audio/speech", json=body).status_code == 200
        wait_until(lambda: threading.active_count() <= threads + 40)  # the pools' threads stay, the requests' do not


def test_metrics_tell_what_happened(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    fakes = Fakes(vocabulary, tmp_path)
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        for voice in ("alloy", "nova", "nobody"):
            http.post("/v1/audio/speech", json=BODY | {"voice": voice})
        answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        'fast_spark_requests_total{outcome="ok"} 2.0',
        'fast_spark_requests_total{outcome="refused"} 1.0',
        "fast_spark_first_audio_seconds_count 2.0",
        "fast_spark_real_time_factor_count 2.0",
        "fast_spark_semantic_tokens_total 60.0",
    ):
        assert line in answer.text
    audio = re.search(r"^fast_spark_audio_seconds_total (\S+)", answer.text, re.MULTILINE)
    assert audio
    assert float(audio[1]) == pytest.approx(60 * 0.02, abs=0.001)


def test_metrics_tell_how_the_work_was_shared(one_process: Server) -> None:
    with httpx.Client(base_url=one_process.url, timeout=60) as http:
        http.post("/v1/audio/speech", json=BODY)  # the voice is made
        before = metrics(http)
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200
        new = {name: value - before[name] for name, value in metrics(http).items()}
    assert new["step_sequences_sum"] == 3 * 9  # the first token of each sentence comes with the prompt
    assert new["step_sequences_count"] < 3 * 9  # the sentences share steps
    assert new["batch_windows_sum"] == 3
    assert 1 <= new["batch_windows_count"] <= 3


def test_request_ids_are_taken_or_made(http: httpx.Client) -> None:
    body = BODY | {"input": "Hi."}
    given = http.post("/v1/audio/speech", json=body, headers={"X-Request-Id": "call-17"})
    assert given.headers["x-request-id"] == "call-17"
    made = http.post("/v1/audio/speech", json=body).headers["x-request-id"]
    bad = http.post("/v1/audio/speech", json=body, headers={"X-Request-Id": "a b\tc"}).headers["x-request-id"]
    assert len(made) > 10
    assert bad != "a b\tc"


def test_the_log_has_the_requests_id(one_process: Server) -> None:
    headers = {"X-Request-Id": "call-17"}
    httpx.post(f"{one_process.url}/v1/audio/speech", json=BODY | {"input": "Hi."}, headers=headers, timeout=60)
    line = r"speech id=call-17 voice=alloy characters=3 audio=0\.20 .* outcome=ok"
    assert re.search(line, one_process.log.read_text())


def test_the_signal_to_stop_lets_requests_finish(small_checkpoint: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", "0", "--model", str(small_checkpoint)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = wait_for_url(process, log)
    body = BODY | {"max_tokens": 400, "input": "A sentence that is long enough to take some time to be said. " * 8}
    with httpx.Client(base_url=url, timeout=60) as http:
        http.post("/v1/audio/speech", json=BODY)
        with http.stream("POST", "/v1/audio/speech", json=body) as answer:
            chunks = answer.iter_bytes()
            audio = next(chunks)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: httpx.get(f"{url}/health/ready", timeout=60).status_code == 503)
            refused = httpx.post(f"{url}/v1/audio/speech", json=BODY, timeout=60)
            assert refused.status_code == 503
            assert "shutting down" in refused.text
            assert int(refused.headers["retry-after"]) > 0
            audio += b"".join(chunks)
    assert len(audio) > 10 * 48_000  # whole: seconds of speech
    assert process.wait(120) == 0
    assert "Traceback" not in log.read_text()
