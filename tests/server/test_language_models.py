"""Language models as people have them, served by the command and spoken over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import httpx
import pytest

from tests.engine.checkpoints.layouts import as_gguf, fine_tune, lora, untied
from tests.server.conftest import running_command

pytestmark = pytest.mark.slow

SPEECH = {"model": "tts-1", "input": "Hi there.", "voice": "Ada", "response_format": "pcm", "temperature": 0}
TOKENS = str(list(range(100, 132)))


@contextmanager
def serving(base: Path, log: Path, *arguments: str) -> Iterator[httpx.Client]:
    with (
        running_command(log, "--model", str(base), *arguments) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        yield http


def spoken(http: httpx.Client, **more: object) -> bytes:
    """What a voice from tokens says."""
    made = http.post("/v1/audio/voices", files={"name": (None, "Ada"), "global_tokens": (None, TOKENS)})
    assert made.status_code == 200, made.text
    answer = http.post("/v1/audio/speech", json={**SPEECH, "max_tokens": 30, **more})
    assert answer.status_code == 200, answer.text
    assert http.delete(f"/v1/audio/voices/{made.json()['id']}").status_code == 200
    return answer.content


@pytest.mark.parametrize("backend", ["torch", "llama-cpp"])
def test_each_layout_speaks_and_each_weight_sounds_different(
    backend: str, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/engine/llm/test_layouts.py has the other layouts of each backend."""
    monkeypatch.setenv("FAST_SPARK_ENGINE__BACKEND", backend)
    if backend == "torch":
        layouts = [fine_tune(small_checkpoint, tmp_path / "shards", max_shard_size="300KB")]
        layouts.append(lora(small_checkpoint, tmp_path / "lora"))
    else:
        layouts = [fine_tune(small_checkpoint, tmp_path / "tied")]
        separate = untied(small_checkpoint, tmp_path / "untied")
        layouts.append(as_gguf(separate, tmp_path / "ready.gguf", gguf.GGMLQuantizationType.Q8_0))
    answers = []
    for n, arguments in enumerate([[], *(["--language-model", str(layout)] for layout in layouts)]):
        with serving(small_checkpoint, tmp_path / f"log-{n}", *arguments) as http:
            answers.append(spoken(http))
    assert min(map(len, answers)) > 4_000  # a greedy answer of random weights can be short
    assert len(set(answers)) == 3


def test_a_self_voiced_model_speaks_in_one_voice_and_with_another_pitch(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__PROMPT", "self-voiced")
    model = str(fine_tune(small_checkpoint, tmp_path / "model"))
    with serving(small_checkpoint, tmp_path / "log", "--language-model", model) as http:
        assert spoken(http) != spoken(http, pitch="very_high")
        speech = {**SPEECH, "voice": "alloy", "max_tokens": 30}
        once, again = (http.post("/v1/audio/speech", json=speech) for _ in range(2))
        assert once.status_code == 200, once.text
        assert once.content == again.content
        assert http.get("/v1/models").json()["data"][0]["id"] == "model"
