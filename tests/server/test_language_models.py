"""Language models as people have them, served by the command and spoken over HTTP."""

from pathlib import Path

import gguf
import httpx
import pytest

from tests.engine.checkpoints.layouts import as_gguf, fine_tune, lora, untied
from tests.server.conftest import running_command

pytestmark = pytest.mark.slow

SPEECH = {"model": "tts-1", "input": "Hi there.", "voice": "Ada", "response_format": "pcm", "temperature": 0}
TOKENS = str(list(range(100, 132)))


def spoken(base: Path, log: Path, *arguments: str, **more: object) -> bytes:
    """What a voice from tokens says with this model."""
    with (
        running_command(log, "--model", str(base), *arguments) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        name = f"Ada {log.name}"
        made = http.post("/v1/audio/voices", files={"name": (None, name), "global_tokens": (None, TOKENS)})
        assert made.status_code == 200, made.text
        answer = http.post("/v1/audio/speech", json={**SPEECH, "max_tokens": 30, **more, "voice": name})
        assert answer.status_code == 200, answer.text
        assert http.delete(f"/v1/audio/voices/{made.json()['id']}").status_code == 200
        return answer.content


@pytest.mark.parametrize("backend", ["torch", "llama-cpp"])
def test_each_layout_speaks_and_each_weight_sounds_different(
    backend: str, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__BACKEND", backend)
    layouts = [
        fine_tune(small_checkpoint, tmp_path / "shards", max_shard_size="300KB"),
        untied(small_checkpoint, tmp_path / "untied"),
        lora(small_checkpoint, tmp_path / "lora"),
    ]
    if backend == "llama-cpp":
        layouts.append(as_gguf(layouts[1], tmp_path / "ready.gguf", gguf.GGMLQuantizationType.Q8_0))
    answers = [spoken(small_checkpoint, tmp_path / "base")]
    answers += [
        spoken(small_checkpoint, tmp_path / f"log-{n}", "--language-model", str(layout))
        for n, layout in enumerate(layouts)
    ]
    assert min(map(len, answers)) > 4_000  # a greedy answer of random weights can be short
    assert len(set(answers)) >= 4


def test_a_self_voiced_model_speaks_in_one_voice_and_with_another_pitch(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__PROMPT", "self-voiced")
    model = str(fine_tune(small_checkpoint, tmp_path / "model"))
    plain = spoken(small_checkpoint, tmp_path / "plain", "--language-model", model)
    high = spoken(small_checkpoint, tmp_path / "high", "--language-model", model, pitch="very_high")
    assert plain != high
    with (
        running_command(tmp_path / "log", "--model", str(small_checkpoint), "--language-model", model) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        speech = {**SPEECH, "voice": "alloy", "max_tokens": 30}
        once, again = (http.post("/v1/audio/speech", json=speech) for _ in range(2))
        assert once.status_code == 200, once.text
        assert once.content == again.content
        assert http.get("/v1/models").json()["data"][0]["id"] == "model"
