"""Takes over HTTP: warnings as events, in a header, in the metrics and the log; and a listener that verifies."""

import io
import json
import logging
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Form, UploadFile
from fastapi.responses import JSONResponse, Response

from engine import EngineConfig, ListenerConfig
from engine.tokens.vocabulary import Vocabulary
from tests.server.conftest import Server
from tests.server.fakes import BODY, Fakes, metrics, ready
from tests.waiting import NEVER, wait_until

Serve = Callable[[FastAPI], Server]

TEXT = "This is one sentence only."
VERIFIED = {**BODY, "input": TEXT, "verify": True, "retakes": 2}


class ListenerServer:
    """OpenAI's transcriptions as far as the engine uses them: it answers what it is told to."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self.answer = answer
        self.heard: list[float] = []  # seconds
        self.app = FastAPI()
        self.app.add_api_route("/v1/audio/transcriptions", self.transcribe, methods=["POST"], response_model=None)

    async def transcribe(self, file: UploadFile, model: str = Form(), language: str = Form()) -> Response:
        assert (model, language) == ("whisper-1", "en")
        with wave.open(io.BytesIO(await file.read())) as recording:
            assert (recording.getframerate(), recording.getnchannels()) == (16_000, 1)
            self.heard.append(recording.getnframes() / 16_000)
        answer = self.answer()
        if isinstance(answer, Response):
            return answer
        return JSONResponse({"text": answer})


@contextmanager
def speaking(fakes: Fakes, serve: Serve) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=240) as http:
        wait_until(lambda: ready(http))
        yield http


def with_listener(vocabulary: Vocabulary, directory: Path, url: str, seconds: float = NEVER) -> Fakes:
    config = EngineConfig(listener=ListenerConfig(url=url, seconds=seconds))
    return Fakes(vocabulary, directory, config=config)


def ask(http: httpx.Client, **fields: object) -> httpx.Response:
    return http.post("/v1/audio/speech", json={**VERIFIED, "stream": False, **fields}).raise_for_status()


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]


def test_what_failed_is_said_in_events_and_header_and_counted(
    vocabulary: Vocabulary, tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    looping = {"verify": False, "max_tokens": None, "retakes": 1}  # the model says one token all the time
    with speaking(Fakes(vocabulary, tmp_path), serve) as http:
        before = metrics(http).get("takes_total loop", 0)
        whole = ask(http, **looping)
        assert whole.headers["X-Speech-Warnings"] == "0 loop"
        assert metrics(http)["takes_total loop"] == before + 2
        assert "outcome=ok warnings=0:loop" in caplog.text
        written = "  There are 2 of them.  This is one sentence only."
        found = events(ask(http, **looping, input=written, stream_format="sse"))
        warnings = [event for event in found if event["type"] == "speech.audio.warning"]
        assert [(event["sentence"], event["text"], event["fault"]) for event in warnings] == [
            (0, "There are two of them.", "loop"),
            (1, TEXT, "loop"),
        ]
        assert [written[slice(*event["span"])].strip() for event in warnings] == ["There are 2 of them.", TEXT]
        assert found[-1]["type"] == "speech.audio.done"
        greedy = ask(http, **looping, temperature=0)  # drawn again, it would be the same
        assert greedy.headers["X-Speech-Warnings"] == "0 loop"
        assert metrics(http)["takes_total loop"] == before + 2 + 2 * 2 + 1
        assert "X-Speech-Warnings" not in ask(http, verify=False, retakes=0).headers


def test_a_header_of_many_warnings_is_one_that_clients_accept(
    vocabulary: Vocabulary, tmp_path: Path, serve: Serve
) -> None:
    many = " [pause:150ms] ".join(["Hello there."] * 130)
    with speaking(Fakes(vocabulary, tmp_path), serve) as http:
        answer = ask(http, input=many, verify=False, max_tokens=None, retakes=1)
    warnings = answer.headers["X-Speech-Warnings"].split(", ")
    assert warnings == [*(f"{number} loop" for number in range(100)), "and 30 more"]


def test_a_sentence_that_is_understood_passes(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    listener = ListenerServer(lambda: "This is 1 sentence, only!")
    fakes = with_listener(vocabulary, tmp_path, serve(listener.app).url)
    with speaking(fakes, serve) as http:
        assert "X-Speech-Warnings" not in ask(http, retakes=0).headers
        assert metrics(http)["takes_total passed"] == 1
    assert listener.heard == [pytest.approx(0.2)]


def test_a_sentence_that_is_misunderstood_is_drawn_again(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    answers = iter(["And now for something else.", TEXT])
    listener = ListenerServer(lambda: next(answers))
    fakes = with_listener(vocabulary, tmp_path, serve(listener.app).url)
    with speaking(fakes, serve) as http:
        assert "X-Speech-Warnings" not in ask(http).headers
        assert metrics(http)["takes_total words"] == 1
        listener.answer = lambda: "Never what was said at all."
        assert ask(http).headers["X-Speech-Warnings"] == "0 words"
        assert len(listener.heard) == 2 + 3


@pytest.mark.parametrize(
    "failure",
    ["hangs", "is gone", "fails", "moved", "has no text", "is no JSON", "is no object", "is nested", "is endless"],
)
def test_without_its_listener_an_answer_goes_on_and_says_so(
    vocabulary: Vocabulary, tmp_path: Path, serve: Serve, failure: str
) -> None:
    answers: dict[str, object] = {
        "fails": Response(status_code=500),
        "has no text": JSONResponse({"words": []}),
        "is no JSON": Response("<html>"),
        "is no object": JSONResponse([TEXT]),
        "is nested": Response("[" * 100_000),
        "is endless": JSONResponse({"text": TEXT + " so" * 500_000}),
        "moved": Response(status_code=307, headers={"Location": "/elsewhere"}),
    }
    listener = ListenerServer(lambda: answers.get(failure))
    if failure == "hangs":
        listener.app.add_middleware(Hanging)
    url = "http://127.0.0.1:9" if failure == "is gone" else serve(listener.app).url
    with speaking(with_listener(vocabulary, tmp_path, url, seconds=0.5), serve) as http:
        answer = ask(http)
        assert answer.headers["X-Speech-Warnings"] == "0 unverified"
        assert len(answer.content) > 1000


class Hanging:
    """Middleware that never answers, until the client has gone."""

    def __init__(self, app: object) -> None:
        pass

    async def __call__(self, scope: dict[str, object], receive: Callable, send: Callable) -> None:  # type: ignore[type-arg]
        while scope["type"] == "http" and (await receive())["type"] != "http.disconnect":
            pass


def test_verify_without_a_listener_is_refused(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    with speaking(Fakes(vocabulary, tmp_path), serve) as http:
        answer = http.post("/v1/audio/speech", json=VERIFIED)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "verify"
    assert "engine.listener.url" in answer.json()["error"]["message"]
