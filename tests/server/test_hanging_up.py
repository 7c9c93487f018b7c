"""A disconnect at any moment aborts the client's own request, and no other."""

import random
import re
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from server.encoding import FORMATS, AudioFormat
from tests.server import forked
from tests.server.conftest import Server, running_command
from tests.server.fakes import metrics
from tests.waiting import wait_until

HANG_UPS = 150  # in each format
CLIENTS = 8
RESET = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
SHORT = "Hello."
LONG = "This sentence is spoken until somebody hangs up. " * 80
BODY = {"model": "tts-1", "voice": "alloy", "seed": 0, "max_tokens": 200}
# Little work, and soon heard.
SETTINGS = "engine: {threads: 1, sentences_ahead: 1, window_first: 4, window_first_lookahead: 4}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The demo model, with as many threads as a few clients bring about."""
    directory = tmp_path_factory.mktemp("hanging-up")
    log, settings = directory / "log", directory / "settings.yaml"
    settings.write_text(SETTINGS)
    with running_command(log, "--config", str(settings)) as server:
        hang_up_often(server, "mp3", 4 * CLIENTS)
        yield server
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def fakes(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Models that take no time, so that clients hang up while the real encoders and filters work."""
    directory = tmp_path_factory.mktemp("hanging-up")
    with forked.serving(small_checkpoint, directory, seconds=20) as (process, url):
        assert process.pid
        server = Server(url, directory / "log", process.pid)
        hang_up_often(server, "mp3", 4 * CLIENTS)
        yield server
        assert process.is_alive(), server.log.read_text()


def hang_up_often(server: Server, audio_format: AudioFormat, times: int) -> None:
    """Hang up `times` times at random moments, half of them with a reset of the connection."""

    def hang_up(number: int) -> None:
        chance = random.Random(f"{audio_format} {number}")
        moment = chance.choice([chance.uniform(0.001, 0.3), 240])
        first_bytes = chance.choice([1, 1, 2_000, 10_000])
        body = BODY | {"input": chance.choice([SHORT, LONG]), "response_format": audio_format}
        body |= {"speed": chance.choice([1, 1.3]), "stream_format": chance.choice(["audio", "sse"])}
        if body["input"] == SHORT:
            body["stream"] = chance.choice([True, False])
        client = clients[number % 2]
        try:
            timeout = httpx.Timeout(240, read=moment)
            with client.stream("POST", f"{server.url}/v1/audio/speech", json=body, timeout=timeout) as answer:
                assert answer.status_code == 200
                for _ in answer.iter_raw():
                    if answer.num_bytes_downloaded >= first_bytes:
                        return
        except httpx.ReadTimeout:
            assert moment < 1

    transports = httpx.HTTPTransport(), httpx.HTTPTransport(socket_options=[RESET])
    with httpx.Client(transport=transports[0]) as closing, httpx.Client(transport=transports[1]) as resetting:
        clients = closing, resetting
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(hang_up, range(times)))


def threads(server: Server) -> int:
    found = re.search(r"^Threads:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.parametrize("models", ["fakes", pytest.param("demo", marks=pytest.mark.slow)])
@pytest.mark.parametrize("audio_format", FORMATS)
def test_hanging_up_at_any_moment_leaves_the_server_alive_and_empty(
    request: pytest.FixtureRequest, models: str, audio_format: AudioFormat
) -> None:
    server: Server = request.getfixturevalue(models)
    with httpx.Client(base_url=server.url, timeout=240) as http:
        wait_until(lambda: metrics(http)["requests_running"] == 0)
        before, threads_before = metrics(http), threads(server)
        hang_up_often(server, audio_format, HANG_UPS)
        wait_until(lambda: metrics(http)["requests_running"] == 0)
        after = metrics(http)
        assert after["requests_waiting"] == 0
        cancelled = after["requests_total cancelled"] - before.get("requests_total cancelled", 0)
        assert cancelled > HANG_UPS / 4  # a short one may be whole before its client leaves
        wait_until(lambda: metrics(http)["process_open_fds"] <= before["process_open_fds"] + 4)
        assert threads(server) <= threads_before + 4  # a pool may still grow
        body = BODY | {"input": SHORT, "response_format": audio_format}
        assert len(http.post("/v1/audio/speech", json=body).raise_for_status().content) > 500
