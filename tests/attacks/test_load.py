"""Hundreds of requests from many clients, a third of which disconnect: no response is lost, no resource leaks."""

import asyncio
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.encoding import AudioFormat
from tests.attacks.running import Attacked, settings_file
from tests.server.audio import decoded
from tests.server.conftest import running_command
from tests.server.fakes import metrics
from tests.waiting import wait_until

CLIENTS = 64
FIRST, REST = 120, 500  # requests; the first of them bring the server to its usual size
SHORT = {"model": "tts-1", "voice": "alloy", "input": "A short one.", "max_tokens": 4, "seed": 0}
SAMPLES = 4 * 480  # of four tokens at 24 kHz
LONG = SHORT | {"input": "This sentence takes the model quite a while to say. " * 6, "max_tokens": 100}
FORMATS: tuple[AudioFormat, ...] = ("pcm", "mp3", "opus", "aac", "flac", "wav")
SLOW_BYTES = 1024  # a second, of a reader on a bad line


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A server with fewer places than there are clients: some are sent away for a while."""
    directory = tmp_path_factory.mktemp("loaded")
    file = settings_file(directory, max_requests=12, max_waiting=24)
    with running_command(directory / "log", "--config", str(file)) as running:
        yield Attacked(running.url, running.log, running.pid, directory)
    assert "Traceback" not in running.log.read_text(), running.log.read_text()


@dataclass
class Tally:
    """What clients got."""

    answers: list[tuple[str, str, bytes]] = field(default_factory=list)  # format, how it was sent, the body
    sent_away: int = 0
    left: int = 0


async def load(url: str, requests: int) -> Tally:
    """Send the requests, a third of which is dropped, each in one of three ways."""
    numbers = iter(range(requests))
    tally = Tally()

    async def client(http: httpx.AsyncClient) -> None:
        for number in numbers:
            if number % 3 == 1:
                await (leave_early, leave_amid, leave_by_reset)[number // 3 % 3](http, url)
                tally.left += 1
            else:
                await speak(http, number, tally)

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=url, timeout=250, limits=limits) as http, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client(http))
    return tally


async def speak(http: httpx.AsyncClient, number: int, tally: Tally) -> None:
    """Take a whole answer; if there is no place, come back when the server says."""
    audio_format, delivery = FORMATS[number % 6], ("audio", "sse")[number // 6 % 2]
    body = SHORT | {"response_format": audio_format, "stream_format": delivery}
    while (answer := await http.post("/v1/audio/speech", json=body)).status_code == 429:
        tally.sent_away += 1
        assert answer.json()["error"]["code"] == "overloaded"
        await asyncio.sleep(int(answer.headers["retry-after"]))
    assert answer.status_code == 200, answer.text
    tally.answers.append((audio_format, delivery, answer.content))


async def leave_early(http: httpx.AsyncClient, url: str) -> None:
    """Leave before the headers have come."""
    with suppress(httpx.ReadTimeout):
        await http.post("/v1/audio/speech", json=LONG, timeout=httpx.Timeout(250, read=0.1))


async def leave_amid(http: httpx.AsyncClient, url: str) -> None:
    """Leave at the first audio."""
    async with http.stream("POST", "/v1/audio/speech", json=LONG) as answer:
        async for _ in answer.aiter_raw():
            return


async def leave_by_reset(http: httpx.AsyncClient, url: str) -> None:
    """Break the connection off so that the server's next write fails."""
    reader, writer = await asyncio.open_connection(*address(url))
    writer.write(request(LONG))
    await reader.read(1)
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def request(fields: dict[str, Any]) -> bytes:
    body = httpx.Request("POST", "http://x", json=fields).read()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def whole(audio_format: AudioFormat, delivery: str, content: bytes) -> bool:
    """Whether an answer has all of its audio, and its end."""
    if delivery == "sse":
        return b"speech.audio.delta" in content and content.rstrip().splitlines()[-1].count(b"speech.audio.done") == 1
    if audio_format == "pcm":
        return len(content) == 2 * SAMPLES
    return len(decoded(content, audio_format)[0]) >= SAMPLES - 1


def threads(server: Attacked) -> int:
    found = re.search(r"^Threads:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def idle(http: httpx.Client) -> bool:
    now = metrics(http)
    return now["requests_running"] == now["requests_waiting"] == 0


def test_hundreds_of_requests_lose_nothing_and_leave_nothing(loaded: Attacked) -> None:
    with httpx.Client(base_url=loaded.url, timeout=60) as http:
        start = metrics(http)
        asyncio.run(load(loaded.url, FIRST))
        wait_until(lambda: idle(http))
        before, threads_before = metrics(http), threads(loaded)
        tally = asyncio.run(load(loaded.url, REST))
        wait_until(lambda: idle(http))
        wait_until(lambda: metrics(http)["process_open_fds"] <= before["process_open_fds"] + 4)
        after = metrics(http)

    assert tally.left == len(range(1, REST, 3))
    assert len(tally.answers) == REST - tally.left
    for audio_format, delivery, content in tally.answers:
        assert whole(audio_format, delivery, content), (audio_format, delivery, len(content))  # type: ignore[arg-type]
    assert tally.sent_away > 0

    new = {name: value - before.get(name, 0) for name, value in after.items()}
    outcomes = {name: value for name, value in new.items() if name.startswith("requests_total") and value}
    assert set(outcomes) <= {"requests_total ok", "requests_total cancelled", "requests_total overloaded"}
    assert new["requests_total ok"] == len(tally.answers)
    assert new["requests_total overloaded"] >= tally.sent_away
    assert sum(outcomes.values()) <= REST + tally.sent_away
    assert after["step_sequences_sum"] - start["step_sequences_sum"] < (FIRST + REST) * 200  # those who left saved work

    print(f"{REST} requests: {outcomes}, {tally.sent_away} times sent away")
    assert threads(loaded) <= threads_before + 4  # a pool may still grow
    assert after["process_resident_memory_bytes"] <= before["process_resident_memory_bytes"] + 48 * 2**20
    assert loaded.speaks()


def test_slow_readers_hold_up_nobody_and_take_little_memory(attacked: Attacked, http: httpx.Client) -> None:
    """Six clients read a kilobyte a second of long files, while others ask and are answered."""
    body = LONG | {"input": LONG["input"] * 5, "response_format": "wav", "max_tokens": 300, "sample_rate": 48_000}
    assert attacked.speaks()
    before = metrics(http)["process_resident_memory_bytes"]

    async def read_slowly(done: asyncio.Event) -> int:
        reader, writer = await asyncio.open_connection(*address(attacked.url), limit=SLOW_BYTES)
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(request(body))
        heard = 0
        while not done.is_set():
            heard += len(await reader.read(SLOW_BYTES))
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), 1)
        writer.transport.abort()
        return heard

    async def attack() -> list[int]:
        done = asyncio.Event()
        readers = [asyncio.create_task(read_slowly(done)) for _ in range(6)]
        async with httpx.AsyncClient(base_url=attacked.url, timeout=120) as others:
            for _ in range(8):
                answer = await others.post("/v1/audio/speech", json=SHORT | {"response_format": "pcm"})
                assert (answer.status_code, len(answer.content)) == (200, 2 * SAMPLES)
        done.set()
        return await asyncio.gather(*readers)

    assert min(asyncio.run(attack())) > 0  # each was served, and still being served
    memory = metrics(http)["process_resident_memory_bytes"]
    assert memory < before + 200 * 2**20
    wait_until(lambda: idle(http))
