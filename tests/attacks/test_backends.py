"""Failing remote language models and codecs: the client gets an error within its deadline, and its slot is freed."""

import socket
import struct
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from engine import EngineConfig, Observer, RemoteConfig, SpeechEngine
from engine.llm.remote.model import RemoteModel
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import Passage, Samples
from engine.voices.database import Database
from server.app import create_app
from tests.engine.fakes import FakeCodec, FakeLanguageModel
from tests.server.conftest import serving
from tests.server.fakes import BODY, TEXT, Fakes, metrics, patient, ready
from tests.waiting import wait_until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
RESET = struct.pack("ii", 1, 0)
# A request has two seconds to fail in. One with a long text has minutes, in which it succeeds on a busy host too.
DEADLINES = {"deadline_seconds": 1, "deadline_factor": 4}
FAILS, SUCCEEDS = BODY | {"input": "Hi."}, BODY | {"input": TEXT * 10}


def event(ids: str) -> bytes:
    return b'data: {"choices": [{"index": 0, "text": "", "token_ids": [%s], "finish_reason": null}]}\n\n' % ids.encode()


def drip(client: socket.socket, data: bytes) -> None:
    """Send one thing after the other, for ever or until the listener has gone."""
    while True:
        client.sendall(data)
        time.sleep(0.02)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


ANSWERS: dict[str, Callable[[socket.socket], object]] = {
    "says nothing": lambda client: client.recv(1),
    "hangs up at once": lambda client: None,
    "resets at once": reset,
    "half a header": lambda client: client.sendall(HEAD[:30]),
    "no HTTP": lambda client: client.sendall(b"220 mail.example.com ESMTP\r\n"),
    "garbage": lambda client: client.sendall(np.random.default_rng(0).bytes(10_000)),
    "an endless header": lambda client: drip(client, b"X" * 1000),
    "a web page": lambda client: client.sendall(HEAD + b"<html>It works!</html>"),
    "an empty answer": lambda client: client.sendall(HEAD),
    "events that are no JSON": lambda client: client.sendall(HEAD + b"data: {not json\n\n"),
    "JSON of another kind": lambda client: client.sendall(HEAD + b'data: ["a", 1]\n\n'),
    "a line without end": lambda client: (client.sendall(HEAD + b"data: "), drip(client, b"A" * 1000)),
    "comments for ever": lambda client: (client.sendall(HEAD), drip(client, b": still here\n\n")),
    "events without ids, for ever": lambda client: (client.sendall(HEAD), drip(client, event(""))),
    "ids of nothing": lambda client: client.sendall(HEAD + event("99999999") * 50),
    "ids below zero": lambda client: client.sendall(HEAD + event("-5, -1") * 50),
    "ids that are no numbers": lambda client: client.sendall(HEAD + event('"a", null') * 50),
    "ids that are huge": lambda client: client.sendall(HEAD + event("1" + "0" * 400) * 50),
    "resets amid the answer": lambda client: (client.sendall(HEAD + event("")), reset(client)),
    "a status of a failure": lambda client: client.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"),
    "a redirection": lambda client: client.sendall(
        b"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    ),
}


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that reads a request and then does as it likes; its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def serve_one(client: socket.socket) -> None:
            with client:
                try:
                    client.recv(2**20)
                    answer(client)
                except OSError:
                    pass

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve_one, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


class SwitchedModel(FakeLanguageModel):
    """A fake language model while the server warms up, and then the one that is elsewhere."""

    def __init__(self, vocabulary: Vocabulary, remote: RemoteModel) -> None:
        super().__init__(vocabulary)
        self.remote = remote
        self.elsewhere = False

    async def generate(self, *arguments: object) -> AsyncGenerator[list[int], None]:  # type: ignore[override]
        model = self.remote if self.elsewhere else super()
        async for ids in model.generate(*arguments):  # type: ignore[arg-type]
            yield ids


@pytest.mark.parametrize("name", ANSWERS)
def test_a_language_model_elsewhere_that_misbehaves(vocabulary: Vocabulary, tmp_path: Path, name: str) -> None:
    with answering(ANSWERS[name]) as url:
        remote = RemoteConfig(urls=(url,), kind="vllm", token_seconds=1, connect_seconds=1, retry_seconds=60)
        elsewhere = RemoteModel(remote, Grammar(vocabulary), vocabulary.ends, running=4, context=4096)
        model = SwitchedModel(vocabulary, elsewhere)

        def load(observer: Observer) -> SpeechEngine:
            config = EngineConfig(sentences_ahead=1)
            return SpeechEngine(
                config, "weights", vocabulary, model, FakeCodec(), Database.in_directory(tmp_path), observer=observer
            )

        with (
            serving(create_app(patient(**DEADLINES), load)) as running,
            httpx.Client(base_url=running.url, timeout=60) as http,
        ):
            wait_until(lambda: ready(http))
            assert http.post("/v1/audio/speech", json=SUCCEEDS).status_code == 200
            model.elsewhere = True
            answer = http.post("/v1/audio/speech", json=FAILS)
            assert answer.status_code in (500, 504), answer.text
            assert answer.json()["error"]["code"] in ("backend_failed", "deadline_exceeded")
            model.elsewhere = False
            wait_until(lambda: metrics(http)["requests_running"] == 0)
            assert http.post("/v1/audio/speech", json=SUCCEEDS).status_code == 200


class BadCodec(FakeCodec):
    """A codec whose samples are changed on the way."""

    def __init__(self, change: Callable[[Samples], Samples]) -> None:
        super().__init__()
        self.change: Callable[[Samples], Samples] | None = None
        self.bad = change

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        samples = super().decode_batch(items)
        return [self.change(one) for one in samples] if self.change else samples


BAD_SAMPLES: dict[str, Callable[[Samples], Samples]] = {
    "not a number": lambda samples: np.full_like(samples, np.nan),
    "infinite": lambda samples: np.where(np.arange(len(samples)) == 5, np.inf, samples).astype(np.float32),
    "too few": lambda samples: samples[:-1],
    "none": lambda samples: samples[:0],
    "too many": lambda samples: np.concatenate([samples, samples]),
    "in two dimensions": lambda samples: samples[None],
}


@pytest.mark.parametrize("name", BAD_SAMPLES)
def test_a_codec_that_makes_no_sound(vocabulary: Vocabulary, tmp_path: Path, name: str) -> None:
    fakes = Fakes(vocabulary, tmp_path)
    codec = fakes.codec = BadCodec(BAD_SAMPLES[name])
    with serving(fakes.app) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        wait_until(lambda: ready(http))
        codec.change = codec.bad
        answer = http.post("/v1/audio/speech", json=BODY)
        assert answer.status_code == 500, answer.text
        assert answer.json()["error"]["code"] == "backend_failed"
        codec.change = None
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200
        assert metrics(http)["requests_running"] == 0


def test_a_codec_that_hangs(vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(**DEADLINES, max_requests=2))
    with serving(fakes.app) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        wait_until(lambda: ready(http))
        assert http.post("/v1/audio/speech", json=SUCCEEDS).status_code == 200
        fakes.codec.gate.clear()
        for _ in range(3):  # more than there are places
            answer = http.post("/v1/audio/speech", json=FAILS)
            assert answer.status_code == 504, answer.text
            assert answer.json()["error"]["code"] == "deadline_exceeded"
        assert metrics(http)["requests_running"] == 0
        fakes.codec.gate.set()
        wait_until(lambda: http.post("/v1/audio/speech", json=SUCCEEDS).status_code == 200)
