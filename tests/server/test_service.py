"""The server's lifecycle: readiness, startup failures, and recovery after failed requests."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from engine import CheckpointError, Observer, SpeechEngine
from engine.tokens.vocabulary import Vocabulary
from server.app import create_app
from tests.engine.fakes import FIRST_WINDOW, fake_engine
from tests.server.conftest import Server
from tests.server.fakes import BODY, Fakes, patient, ready, set_event
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]


@pytest.fixture
def fakes(vocabulary: Vocabulary, tmp_path: Path) -> Fakes:
    return Fakes(vocabulary, tmp_path)


def test_it_is_alive_at_once_and_ready_when_it_is_warm(fakes: Fakes, serve: Serve) -> None:
    fakes.may_load.clear()
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        assert http.get("/health/live").status_code == 200
        for answer in (http.get("/health/ready"), http.post("/v1/audio/speech", json=BODY)):
            assert answer.status_code == 503
            assert answer.json()["error"]["message"] == "The model is being loaded."
            assert int(answer.headers["retry-after"]) > 0
        assert http.get("/v1/models").status_code == 200
        fakes.may_load.set()
        wait_until(lambda: ready(http))
        assert fakes.codec.decoded == 1  # the warm-up came first
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200


def test_a_model_that_cannot_be_loaded_is_told(serve: Serve) -> None:
    def load(observer: Observer) -> SpeechEngine:
        raise CheckpointError("BiCodec/model.safetensors is missing")

    heard = []
    app = create_app(patient(), load, on_change=heard.append)
    with httpx.Client(base_url=serve(app).url, timeout=60) as http:
        wait_until(lambda: bool(heard))
        assert http.get("/health/ready").status_code == 503
        assert "BiCodec/model.safetensors is missing" in http.get("/health/ready").text
    assert heard[0].failure == "BiCodec/model.safetensors is missing"


def test_an_engine_that_dies_is_told(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    observers: list[Observer] = []

    def load(observer: Observer) -> SpeechEngine:
        observers.append(observer)
        return fake_engine(vocabulary, tmp_path, observer=observer)

    heard = []
    app = create_app(patient(), load, on_change=lambda service: heard.append(service.failure))
    with httpx.Client(base_url=serve(app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        observers[0].death("The engine has died.")
        for answer in (http.get("/health/ready"), http.post("/v1/audio/speech", json=BODY)):
            assert answer.status_code == 503
            assert answer.json()["error"]["message"] == "The engine has died."
        assert http.get("/health/live").status_code == 200
    assert heard == [None, "The engine has died."]


def test_while_the_language_model_cannot_answer_it_is_not_ready_and_says_why(fakes: Fakes, serve: Serve) -> None:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        fakes.language_model.failure = "No server of the language model can be used now."
        answer = http.get("/health/ready")
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "No server of the language model can be used now."
        assert http.get("/health/live").status_code == 200
        fakes.language_model.failure = None
        assert ready(http)


def test_a_failure_before_the_first_audio_is_a_status(fakes: Fakes, serve: Serve) -> None:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        fakes.codec.fail = True
        answer = http.post("/v1/audio/speech", json=BODY)
        assert answer.status_code == 500
        assert answer.json()["error"] == {
            "message": "decode_batch failed: the device is gone",
            "type": "server_error",
            "param": None,
            "code": "backend_failed",
        }
        fakes.codec.fail = False
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_failure_in_the_middle_ends_that_stream_visibly_and_no_other(
    fakes: Fakes, serve: Serve, stream_format: str
) -> None:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        whole = http.post("/v1/audio/speech", json=BODY | {"max_tokens": 50}).content
        fakes.language_model.pause_after = FIRST_WINDOW
        with http.stream("POST", "/v1/audio/speech", json=BODY | {"max_tokens": 50}) as other:
            pieces = other.iter_raw()
            audio = next(pieces)
            fakes.language_model.pause_after = None
            fakes.language_model.fail_at = len(fakes.language_model.prompts) + 3
            with http.stream("POST", "/v1/audio/speech", json=BODY | {"stream_format": stream_format}) as failing:
                assert failing.status_code == 200
                ends_visibly(failing)
            set_event(fakes, fakes.language_model.resume)
            assert audio + b"".join(pieces) == whole
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200


def ends_visibly(answer: httpx.Response) -> None:
    """A stream of audio breaks off without its final chunk; a stream of events ends with an error instead of `done`."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
        return
    *deltas, last = answer.read().decode().strip().split("\n\n")
    assert len(deltas) == 2  # of the sentences before
    assert all("speech.audio.delta" in delta for delta in deltas)
    event, data = last.split("\n")
    assert event == "event: error"
    assert "out of memory" in json.loads(data.removeprefix("data: "))["error"]["message"]


def test_a_client_that_leaves_before_the_audio_frees_its_place(fakes: Fakes, serve: Serve) -> None:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        http.post("/v1/audio/speech", json=BODY)
        fakes.language_model.gate.clear()
        with pytest.raises(httpx.ReadTimeout):
            http.post("/v1/audio/speech", json=BODY, timeout=httpx.Timeout(60, read=0.3))
        wait_until(lambda: fakes.language_model.running == 0)


def test_a_client_that_leaves_in_the_middle_frees_its_place(fakes: Fakes, serve: Serve) -> None:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        http.post("/v1/audio/speech", json=BODY)
        with http.stream("POST", "/v1/audio/speech", json=BODY) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            fakes.language_model.gate.clear()
        wait_until(lambda: fakes.language_model.running == 0)
        fakes.language_model.gate.set()
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200


def test_an_unforeseen_error_shows_no_trace(fakes: Fakes, serve: Serve) -> None:
    @fakes.app.get("/broken")
    async def broken() -> None:
        raise KeyError("secret")

    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        answer = http.get("/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text


def test_the_documentation_has_every_field(fakes: Fakes, serve: Serve) -> None:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        assert "swagger" in http.get("/docs").text.lower()
        document = http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"instructions", "stream_format", "seed", "pitch"} <= set(schemas["CreateSpeechRequest"]["properties"])
    statuses = document["paths"]["/v1/audio/speech"]["post"]["responses"]
    assert "422" not in statuses
    assert set(statuses) == {"200", "4XX", "5XX"}
    events = statuses["200"]["content"]["text/event-stream"]["itemSchema"]["properties"]["data"]["contentSchema"]
    warning = next(event for event in events["anyOf"] if event["title"] == "SpeechAudioWarning")
    assert set(warning["required"]) == {"sentence", "text", "span", "fault"}
