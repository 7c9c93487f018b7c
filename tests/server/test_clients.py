"""Requests of known clients, replayed according to their source code, with a fake engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest
from fastapi import FastAPI

from engine import EngineConfig
from engine.tokens.vocabulary import Vocabulary
from engine.voices.catalogue import BUILT_IN
from server.client_fields import IGNORED as IGNORED_NAMES
from server.schemas import CreateSpeechRequest
from tests.server.conftest import Server, serving
from tests.server.errors import assert_error
from tests.server.fakes import BODY, Fakes, patient, ready
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]


@pytest.fixture(scope="module")
def running(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(Fakes(vocabulary, tmp_path_factory.mktemp("clients")).app) as running:
        yield running


@pytest.fixture(scope="module")
def hub_named(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a model that is named as on its hub."""
    settings = patient(engine=EngineConfig(model="SparkAudio/Spark-TTS-0.5B"))
    with serving(Fakes(vocabulary, tmp_path_factory.mktemp("named"), settings).app) as running:
        with httpx.Client(base_url=running.url, timeout=60) as http:
            wait_until(lambda: ready(http))
        yield running


@pytest.fixture
def http(running: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=60) as http:
        wait_until(lambda: ready(http))
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


BODIES = {
    "Open WebUI": {"input": "Hello.", "voice": "alloy", "model": "tts-1"},
    "Pipecat": {"input": "Hello.", "model": "gpt-4o-mini-tts", "voice": "nova", "response_format": "pcm"},
    "n8n": {"model": "tts-1-hd", "input": "Hello.", "voice": "onyx", "response_format": "mp3", "speed": 1},
    "Vercel AI SDK": {"model": "tts-1", "input": "Hello.", "voice": "alloy", "response_format": "mp3"},
    "Home Assistant": {
        "model": "gpt-4o-mini-tts",
        "voice": "marin",
        "input": "Hello.",
        "instructions": "None",
        "speed": 1.0,
        "response_format": "wav",
    },
    "LiteLLM": {"model": "tts-1", "input": "Hello.", "voice": "alloy", "user": "somebody"},
    "SillyTavern, TTS WebUI": {
        "model": "tts-1",
        "voice": "alloy",
        "input": "Hello.",
        "response_format": "wav",
        "speed": 1,
        "stream": True,
        "params": {"desired_length": 80, "temperature": 0.8, "seed": -1},
    },
    "LocalAI": {
        "model": "tts-1",
        "input": "Hello.",
        "voice": "Alloy",
        "backend": "kokoro",
        "language": "en",
        "response_format": "WAV",
        "stream": False,
        "sample_rate": 16_000,
    },
    "Kokoro-FastAPI": {
        "model": "tts-1",
        "input": "Hello.",
        "voice": "alloy",
        "response_format": "mp3",
        "download_format": None,
        "speed": 1.0,
        "stream": True,
        "return_download_link": False,
        "lang_code": None,
        "volume_multiplier": 1.0,
        "normalization_options": {"normalize": True},
    },
    "vLLM-Omni": {
        "model": "tts-1",
        "input": "Hello.",
        "voice": "alloy",
        "instructions": None,
        "response_format": "wav",
        "sample_rate": None,
        "speed": None,
        "stream_format": None,
        "stream": False,
        "task_type": "CustomVoice",
        "language": "Auto",
        "ref_audio": None,
        "ref_text": "What it says.",
        "max_new_tokens": 2048,
        "seed": None,
    },
    "Chatterbox TTS API": {
        "model": "tts-1",
        "input": "Hello.",
        "voice": "alloy",
        "exaggeration": 0.5,
        "cfg_weight": 0.5,
        "temperature": 0.8,
        "streaming_chunk_size": 200,
    },
    "FlashTTS": {
        "model": "tts-1",
        "input": "Hello.",
        "voice": "alloy",
        "temperature": 0.9,
        "max_tokens": 4096,
        "length_threshold": 50,
        "window_size": 50,
        "stream": True,
    },
}
IGNORED = {
    "Home Assistant": "instructions",
    "LiteLLM": "user",
    "SillyTavern, TTS WebUI": "params",
    "LocalAI": "backend",
    "Kokoro-FastAPI": "return_download_link, volume_multiplier, normalization_options",
    "vLLM-Omni": "task_type, ref_text, max_new_tokens",
    "Chatterbox TTS API": "exaggeration, cfg_weight, streaming_chunk_size",
    "FlashTTS": "length_threshold, window_size",
}


@pytest.mark.parametrize("client", BODIES)
def test_the_bodies_of_known_clients_are_taken_and_what_is_ignored_is_said(http: httpx.Client, client: str) -> None:
    answer = http.post("/v1/audio/speech", json=BODIES[client])
    assert answer.status_code == 200, answer.text
    assert answer.headers.get("x-ignored-fields") == IGNORED.get(client)
    assert len(answer.content) > 100


def test_null_leaves_a_field_out(http: httpx.Client) -> None:
    required = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "seed": 1}
    optional = set(CreateSpeechRequest.model_fields) - set(required)
    plain = http.post("/v1/audio/speech", json=required)
    nulls = http.post("/v1/audio/speech", json=required | dict.fromkeys(optional) | dict.fromkeys(IGNORED_NAMES))
    assert (plain.status_code, plain.content) == (nulls.status_code, nulls.content)
    assert "x-ignored-fields" not in nulls.headers


def test_a_field_that_nobody_sends_can_be_let_pass(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(unknown_fields="ignore"))
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        answer = http.post("/v1/audio/speech", json=BODY | {"voise": "nova", "größe\r\nX-Other: 1": 2})
        assert answer.status_code == 200
        assert answer.headers["x-ignored-fields"] == "voise, gr%C3%B6%C3%9Fe%0D%0AX-Other%3A%201"
        assert "x-other" not in answer.headers
        many = {f"field_{n}_{'x' * 100}": n for n in range(90)}
        answer = http.post("/v1/audio/speech", json=BODY | many)
        assert answer.status_code == 200
        assert len(answer.headers["x-ignored-fields"]) <= 1024


@pytest.mark.parametrize(
    "model",
    [
        "tts-1",
        "tts-1-hd",
        "tts-1-1106",
        "tts-1-hd-1106",
        "gpt-4o-mini-tts",
        "gpt-4o-mini-tts-2025-03-20",
        "gpt-4o-mini-tts-2025-12-15",
        "gpt-4o-audio-preview-2024-12-17",
        "gpt-4o-mini-realtime-preview",
        "gpt-audio",
        "gpt-audio-mini-2025-10-06",
        "gpt-realtime",
        "gpt-realtime-2.1-mini",
        "Spark-TTS-0.5B",
        "SparkAudio/Spark-TTS-0.5B",
    ],
)
def test_models_by_each_of_their_names(hub_named: Server, model: str) -> None:
    client = hub_named.client()
    assert client.models.retrieve(model).id == model
    assert len(client.audio.speech.create(model=model, voice="alloy", input="Hello.").content) > 100


@pytest.mark.parametrize("model", ["tts-2", "tts-1-", "gpt-4o", "gpt-4o-transcribe", "Other/Spark-TTS-0.5B", "x/y/z"])
def test_models_that_there_are_not(hub_named: Server, model: str) -> None:
    client = hub_named.client()
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.models.retrieve(model)
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.audio.speech.create(model=model, voice="alloy", input="Hello.")


def test_more_tokens_than_there_may_be_are_as_many_as_there_may_be(http: httpx.Client) -> None:
    answers = [http.post("/v1/audio/speech", json=BODY | {"max_tokens": most}) for most in (3000, 3001, 10**30)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("text", ["😊", ".", "...", " ", "\n", "。！"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_text_without_words_is_a_short_silence(running: Server, http: httpx.Client, text: str, stream: bool) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm", "stream": stream}
    answer = http.post("/v1/audio/speech", json=body)
    assert (answer.status_code, answer.content) == (200, bytes(2 * 24_000 // 5))
    spoken = running.client().audio.speech.create(model="tts-1", voice="alloy", input=text)
    assert len(spoken.content) > 100
    events = http.post("/v1/audio/speech", json=body | {"stream_format": "sse"}).text
    assert '"output_tokens":0' in events
    assert_error(http.post("/v1/audio/speech", json=body | {"voice": "nobody"}), 400, "voice", "no voice 'nobody'")


def test_a_text_without_words_can_be_an_error(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(speak_nothing="error"))
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        for stream in (True, False):
            answer = http.post("/v1/audio/speech", json=BODY | {"input": "😊", "stream": stream})
            assert_error(answer, 400, "input", "nothing to say")
            assert answer.json()["error"]["code"] == "nothing_to_say"
