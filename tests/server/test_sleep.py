"""Unloading the models and loading them again, over HTTP."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
import torch
from fastapi import FastAPI
from transformers import Qwen2Config, Qwen2ForCausalLM

from engine import EngineConfig
from engine.tokens.vocabulary import Vocabulary
from tests.server.conftest import Server, running_command
from tests.server.fakes import BODY, Fakes, patient, ready, set_event
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]
KEYS = {"ada": "a-key-of-sixteen-characters"}
AUTHORIZED = {"Authorization": "Bearer a-key-of-sixteen-characters"}
MB = 2**20


def state(http: httpx.Client) -> str:
    answer = http.get("/health/ready")
    assert answer.status_code == 200, answer.text
    status: str = answer.json()["status"]
    return status


def test_it_sleeps_and_wakes_when_told_and_when_asked_to_speak(
    vocabulary: Vocabulary, tmp_path: Path, serve: Serve
) -> None:
    fakes = Fakes(vocabulary, tmp_path)
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        assert http.post("/admin/sleep").json() == {"status": "asleep"}
        assert http.post("/admin/sleep").json() == {"status": "asleep"}
        assert state(http) == "asleep"
        assert http.get("/v1/audio/voices").status_code == 200
        assert http.get("/v1/models").status_code == 200
        assert state(http) == "asleep"  # a list needs no model
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200
        assert state(http) == "ready"
        http.post("/admin/sleep")
        assert http.post("/admin/wake").json() == {"status": "ready"}
        assert state(http) == "ready"


def test_it_does_not_sleep_while_requests_run(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    fakes = Fakes(vocabulary, tmp_path)
    url = serve(fakes.app).url
    with httpx.Client(base_url=url, timeout=60) as http:
        wait_until(lambda: ready(http))
        fakes.language_model.pause_after = 40
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=BODY | {"max_tokens": 60}, timeout=60) as answer:
            refused = http.post("/admin/sleep")
            assert refused.status_code == 409
            assert refused.json()["error"]["code"] == "busy"
            set_event(fakes, fakes.language_model.resume)
            assert answer.read()
        wait_until(lambda: http.post("/admin/sleep").status_code == 200)


def test_an_idle_engine_falls_asleep_by_itself(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    settings = patient(engine=EngineConfig(unload_after_seconds=0.05))
    with httpx.Client(base_url=serve(Fakes(vocabulary, tmp_path, settings).app).url) as http:
        wait_until(lambda: ready(http))
        for _ in range(2):
            wait_until(lambda: state(http) == "asleep")
            assert http.post("/v1/audio/speech", json=BODY).status_code == 200
        wait_until(lambda: state(http) == "asleep")


def test_keys_apply(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    settings = patient(api_keys=KEYS)
    with httpx.Client(base_url=serve(Fakes(vocabulary, tmp_path, settings).app).url) as http:
        wait_until(lambda: ready(http))
        for path in ("/admin/sleep", "/admin/wake"):
            assert http.post(path).status_code == 401
        assert state(http) == "ready"
        assert http.post("/admin/sleep", headers=AUTHORIZED).status_code == 200


@pytest.fixture
def large_checkpoint(small_checkpoint: Path, tmp_path: Path) -> Path:
    """The small checkpoint with a language model of 60 million weights, 240 MB."""
    directory = Path(shutil.copytree(small_checkpoint, tmp_path / "large"))
    content = json.loads((directory / "LLM" / "config.json").read_text())
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 4}
    config = Qwen2Config(**{**content, **sizes, "layer_types": None})
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(directory / "LLM")
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "llama-cpp"])
def test_the_memory_is_free_while_it_sleeps(
    backend: str, large_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__BACKEND", backend)
    monkeypatch.setenv("FAST_SPARK_ENGINE__LLM_PRECISION", "float32")
    monkeypatch.setenv("FAST_SPARK_ENGINE__MAX_CONTEXT", "512")
    with running_command(tmp_path / "log", "--model", str(large_checkpoint)) as server:
        process = psutil.Process(server.pid)

        def megabytes() -> float:
            return float(process.memory_info().rss) / MB

        with httpx.Client(base_url=server.url, timeout=120) as http:
            speech = {**BODY, "input": "Hello.", "seed": 1}
            first = http.post("/v1/audio/speech", json=speech).content
            before = megabytes()
            assert http.post("/admin/sleep").status_code == 200
            asleep = megabytes()
            assert http.post("/v1/audio/speech", json=speech).content == first
            after = megabytes()
    print(f"{backend}: {before:.0f} MB before, {asleep:.0f} MB asleep, {after:.0f} MB after")
    assert asleep < before - 200
    assert asleep + 200 < after < before + 100
