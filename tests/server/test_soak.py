"""Hundreds of requests of many clients, of whom a third leaves: nothing is lost, and nothing is left behind."""

import asyncio
import re
from pathlib import Path

import httpx

from tests.server.conftest import Server
from tests.server.fakes import metrics
from tests.waiting import wait_until

CLIENTS = 32
FIRST, REST = 100, 400  # requests; the first of them bring the server to its usual size
DROPPED = (FIRST + REST) // 3
SHORT = {"model": "tts-1", "voice": "alloy", "input": "A short one.", "response_format": "pcm"}
SHORT |= {"max_tokens": 4, "seed": 0}  # without a seed, one in some hundreds ends by itself before that
BYTES = 4 * 480 * 2  # of four tokens at 24 kHz
LONG = SHORT | {"input": "This sentence takes the model quite a while to say. " * 6, "max_tokens": 100}


async def soak(url: str, requests: int) -> list[int]:
    """Send the requests, and return how many bytes of audio each whole answer had."""
    numbers = iter(range(requests))
    lengths: list[int] = []

    async def client(http: httpx.AsyncClient) -> None:
        for number in numbers:
            if number % 3 == 1:
                await leave(http, patience=0.1 if number % 2 else 120)
            else:
                answer = await http.post("/v1/audio/speech", json=SHORT)
                assert answer.status_code == 200, answer.text
                lengths.append(len(answer.content))

    async with httpx.AsyncClient(base_url=url, timeout=120) as http, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client(http))
    return lengths


async def leave(http: httpx.AsyncClient, patience: float) -> None:
    """Ask for a long text, and leave at the first audio, or when it does not come soon enough (seconds)."""
    try:
        async with http.stream("POST", "/v1/audio/speech", json=LONG, timeout=httpx.Timeout(120, read=patience)) as a:
            assert a.status_code == 200
            async for _ in a.aiter_raw():
                return
    except httpx.ReadTimeout:
        assert patience < 1


def threads(server: Server) -> int:
    found = re.search(r"^Threads:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def test_hundreds_of_requests_lose_nothing_and_leave_nothing(server: Server, http: httpx.Client) -> None:
    start = metrics(http)
    asyncio.run(soak(server.url, FIRST))
    wait_until(lambda: metrics(http)["requests_running"] == 0)
    before, threads_before = metrics(http), threads(server)
    lengths = asyncio.run(soak(server.url, REST))
    wait_until(lambda: metrics(http)["requests_running"] == 0)
    after = metrics(http)

    assert lengths == [BYTES] * (REST - len(range(1, REST, 3)))
    new = {name: value - start.get(name, 0) for name, value in after.items()}
    assert new["requests_total ok"] == FIRST + REST - len(range(1, FIRST, 3)) - len(range(1, REST, 3))
    outcomes = {name for name, value in new.items() if name.startswith("requests_total") and value}
    assert outcomes == {"requests_total ok", "requests_total cancelled"}
    assert after["requests_waiting"] == 0
    assert new["step_sequences_sum"] < DROPPED * 600 / 10  # tokens, a tenth of what those who left had asked for

    assert threads(server) <= threads_before + 4  # a pool may still grow
    assert after["process_open_fds"] <= before["process_open_fds"] + 4
    assert after["process_resident_memory_bytes"] <= before["process_resident_memory_bytes"] + 32 * 2**20
    assert http.post("/v1/audio/speech", json=SHORT).status_code == 200
