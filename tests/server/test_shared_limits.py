"""Limits of a key that several servers count together in Redis, and what happens without it."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from engine.tokens.vocabulary import Vocabulary
from server.settings import Settings
from tests.server.commands import refused
from tests.server.conftest import Server
from tests.server.fakes import BODY, Fakes, patient, ready, set_event
from tests.waiting import wait_until

pytest.importorskip("redis", reason="pip install 'fast-spark[cluster]'")

KEY = "0123456789abcdef"
SPEECH = "/v1/audio/speech"


class Redis:
    """A server of the test's own, without files."""

    def __init__(self, program: str, directory: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [program, "--port", str(self.port), "--save", "", "--dir", str(directory)]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(120)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed: apt install redis-server")
    redis = Redis(program, tmp_path)
    redis.start()
    yield redis
    redis.stop()


class Servers:
    """Two servers with the same settings, and what to ask of each."""

    def __init__(
        self, serve: Callable[[FastAPI], Server], vocabulary: Vocabulary, directory: Path, settings: Settings
    ) -> None:
        self.fakes = [Fakes(vocabulary, directory, settings) for _ in range(2)]
        headers = {"Authorization": f"Bearer {KEY}"}
        urls = [serve(fakes.app).url for fakes in self.fakes]
        self.clients = [httpx.Client(base_url=url, headers=headers, timeout=60) for url in urls]
        for client in self.clients:
            wait_until(lambda: ready(client))  # noqa: B023


@pytest.fixture
def servers(
    serve: Callable[[FastAPI], Server], vocabulary: Vocabulary, tmp_path: Path, redis: Redis
) -> Iterator[Callable[..., Servers]]:
    started: list[Servers] = []

    def start(**limits: int) -> Servers:
        settings = patient(api_keys={"ada": KEY}, limits_storage=redis.url, **limits)
        started.append(Servers(serve, vocabulary, tmp_path, settings))
        return started[-1]

    yield start
    for one in started:
        for client in one.clients:
            client.close()


def test_requests_at_once_are_counted_over_all_servers(servers: Callable[..., Servers]) -> None:
    two = servers(requests_per_key=3)
    for fakes in two.fakes:
        fakes.language_model.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, SPEECH, json=BODY) for client in two.clients * 4]
        wait_until(lambda: sum(answer.done() for answer in asked) == 5)
        assert {answer.result().status_code for answer in asked if answer.done()} == {429}
        assert "3 requests at once" in next(answer for answer in asked if answer.done()).result().text
        for fakes in two.fakes:
            if fakes.language_model.running:
                set_event(fakes, fakes.language_model.gate)
            fakes.language_model.gate.set()
        assert sorted(answer.result().status_code for answer in asked) == [200] * 3 + [429] * 5
    assert [client.post(SPEECH, json=BODY).status_code for client in two.clients] == [200, 200]  # the places are free


def test_characters_are_counted_over_all_servers(servers: Callable[..., Servers]) -> None:
    two = servers(characters_per_minute=4096)
    long = BODY | {"input": "Hello. " * 300, "max_tokens": 1}
    assert two.clients[0].post(SPEECH, json=long).status_code == 200
    told = two.clients[1].post(SPEECH, json=long)
    assert told.status_code == 429
    assert 1 <= int(told.headers["retry-after"]) <= 120


def test_without_redis_each_server_counts_for_itself(servers: Callable[..., Servers], redis: Redis) -> None:
    two = servers(characters_per_minute=4096)
    redis.stop()
    long = BODY | {"input": "Hello. " * 300, "max_tokens": 1}
    for client in two.clients:
        assert [client.post(SPEECH, json=long).status_code for _ in range(2)] == [200, 429]
    redis.start()


@pytest.mark.parametrize("storage", ["10.0.0.5:6379", "postgresql://10.0.0.5/limits"])
def test_another_storage_is_refused_without_its_password(storage: str) -> None:
    line = refused("serve", FAST_SPARK_LIMITS_STORAGE=storage)
    assert "limits_storage" in line
    assert storage not in line
