"""What known clients send and read, replayed as their sources have it, on an engine of fakes."""

from collections.abc import Iterator

import httpx
import pytest

from engine.tokens.vocabulary import Vocabulary
from engine.voices.catalogue import BUILT_IN
from tests.server.conftest import Server, serving
from tests.server.fakes import Fakes, ready, until


@pytest.fixture(scope="module")
def running(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(Fakes(vocabulary, tmp_path_factory.mktemp("clients")).app) as running:
        yield running


@pytest.fixture
def http(running: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=60) as http:
        until(lambda: ready(http))
        yield http


@pytest.fixture
def many(http: httpx.Client) -> Iterator[dict[str, str]]:
    """More voices than a page has, as name and id."""
    made = {}
    for n in range(10):
        answer = http.post("/v1/audio/voices", data={"name": f"Voice {n}", "gender": "female", "seed": str(n)})
        made[f"Voice {n}"] = answer.json()["id"]
    yield made
    for voice in made.values():
        http.delete(f"/v1/audio/voices/{voice}")


def test_open_webui_lists_voices_and_models(http: httpx.Client, many: dict[str, str]) -> None:
    """Open WebUI 0.12: it asks without a page, and takes ids and names from `voices` and `models`."""
    data = http.get("/v1/audio/voices").raise_for_status().json()
    voices = {v["id"]: v["name"] for v in data.get("voices", [])}
    assert voices == {name: name for name in BUILT_IN} | {voice: name for name, voice in many.items()}
    models = http.get("/v1/audio/models").raise_for_status().json().get("models", [])
    assert [model["id"] for model in models] == ["demo"]
    chosen = {"model": models[0]["id"], "voice": many["Voice 9"], "input": "Hello."}
    assert http.post("/v1/audio/speech", json=chosen).status_code == 200


def test_wyoming_openai_finds_out_how_to_list_voices(http: httpx.Client, many: dict[str, str]) -> None:
    """wyoming-openai 0.8: it asks for the checks of three servers in this order, and then for the voices."""
    assert http.get("/v1/readyz").status_code == 404  # LocalAI
    assert http.get("/health").text != "OK"  # Speaches
    assert http.get("/v1/test").raise_for_status().json().get("status") == "ok"  # Kokoro-FastAPI
    result = http.get("/v1/audio/voices").raise_for_status().json()
    names = [voice.get("id") or voice.get("name") for voice in result.get("voices", [])]
    assert names == [*BUILT_IN, *many.values()]
    for voice in ("alloy", many["Voice 3"]):
        body = {"model": "tts-1", "voice": voice, "input": "Hello.", "response_format": "wav"}
        assert http.post("/v1/audio/speech", json=body).status_code == 200
