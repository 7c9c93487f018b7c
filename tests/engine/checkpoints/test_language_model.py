"""Language models on a hub: which of their files are downloaded, and what is refused; by the real command."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import checkpoints
from engine.config import EngineConfig, PromptForm
from tests.engine.checkpoints.hubs import Hub
from tests.engine.checkpoints.layouts import as_gguf, fine_tune, lora
from tests.server.commands import refused, run

NAME = "acme/my-voice"
EXTRA = {"README.md": b"mine", "optimizer.pt": b"0" * 5000, "training_args.bin": b"0" * 5000, "vocab.json": b"{}"}


def files_of(directory: Path, folder: str = "") -> dict[str, bytes]:
    found = (file for file in directory.iterdir() if file.is_file())
    return {folder + file.name: file.read_bytes() for file in found} | EXTRA


@pytest.fixture
def serve_files() -> Iterator[Callable[[dict[str, bytes]], Hub]]:
    hubs: list[Hub] = []

    def start(files: dict[str, bytes]) -> Hub:
        hubs.append(Hub(NAME, files))
        return hubs[-1].__enter__()

    yield start
    for hub in hubs:
        hub.__exit__(None, None, None)


def say(base: Path, hub: Hub, tmp_path: Path, language_model: str = NAME) -> subprocess.CompletedProcess[str]:
    """`fast-spark say` with a language model of this hub."""
    return run(*command(base, tmp_path, language_model), **environment(hub, tmp_path))


def command(base: Path, tmp_path: Path, language_model: str = NAME) -> list[str]:
    models = ["--model", str(base), "--language-model", language_model]
    return ["say", "Hi.", "-o", str(tmp_path / "hi.wav"), *models]


def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    home = str(tmp_path / "home")
    return {"HF_ENDPOINT": hub.address, "HOME": home, "HF_HOME": home, "FAST_SPARK_ENGINE__DATA_DIRECTORY": home}


def fetched(hub: Hub) -> set[str]:
    return {transfer.file for transfer in hub.transfers}


@pytest.mark.slow
def test_a_fine_tune_is_downloaded_once_without_what_is_not_needed(
    small_checkpoint: Path, tmp_path: Path, cache: Path, serve_files: Callable[[dict[str, bytes]], Hub]
) -> None:
    model = fine_tune(small_checkpoint, tmp_path / "model", max_shard_size="300KB")
    hub = serve_files(files_of(model))
    done = say(small_checkpoint, hub, tmp_path)
    assert done.returncode == 0, done.stderr
    shards = {file.name for file in model.glob("model-*")}
    assert fetched(hub) == {"config.json", "tokenizer.json", "model.safetensors.index.json", *shards}

    hub.transfers.clear()
    hub.paths.clear()
    assert say(small_checkpoint, hub, tmp_path).returncode == 0
    assert hub.paths == []  # no hub is asked for what is there
    assert "language model" in run("models", "list").stdout


@pytest.mark.slow
def test_of_the_base_only_the_codec_is_downloaded(
    small_checkpoint: Path, tmp_path: Path, cache: Path, serve_files: Callable[[dict[str, bytes]], Hub]
) -> None:
    model = fine_tune(small_checkpoint, tmp_path / "model")
    base = {str(path.relative_to(small_checkpoint)): path.read_bytes() for path in small_checkpoint.rglob("*.*")}
    hub = serve_files(base)
    home = environment(hub, tmp_path)
    done = run("say", "Hi.", "-o", str(tmp_path / "hi.wav"), "--model", NAME, "--language-model", str(model), **home)
    assert done.returncode == 0, done.stderr
    assert not any(name.startswith("LLM/") for name in fetched(hub))

    (model / "tokenizer.json").unlink()  # now the base's is needed
    done = run("say", "Hi.", "-o", str(tmp_path / "hi.wav"), "--model", NAME, "--language-model", str(model), **home)
    assert done.returncode == 0, done.stderr
    assert {name for name in fetched(hub) if name.startswith("LLM/") and name.endswith("safetensors")} == set()
    assert {"LLM/tokenizer.json", "LLM/config.json"} <= fetched(hub)


@pytest.mark.slow
def test_a_lora_is_downloaded_alone(
    small_checkpoint: Path, tmp_path: Path, cache: Path, serve_files: Callable[[dict[str, bytes]], Hub]
) -> None:
    adapter = lora(small_checkpoint, tmp_path / "lora")
    hub = serve_files(files_of(adapter))
    assert say(small_checkpoint, hub, tmp_path).returncode == 0
    assert fetched(hub) == {"adapter_config.json", "adapter_model.safetensors"}


@pytest.mark.slow
def test_a_gguf_is_downloaded_alone(
    small_checkpoint: Path, tmp_path: Path, cache: Path, serve_files: Callable[[dict[str, bytes]], Hub]
) -> None:
    ready = as_gguf(small_checkpoint / "LLM", tmp_path / "spark.gguf").read_bytes()
    hub = serve_files({"spark.gguf": ready, "spark-Q4_0.gguf": b"another"})
    done = say(small_checkpoint, hub, tmp_path, f"{NAME}/spark.gguf")
    assert done.returncode == 0, done.stderr
    assert fetched(hub) == {"spark.gguf"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({}, "has no language model: neither config.json with model.safetensors nor adapter_config.json"),
        ({"config.json": b"{}", "pytorch_model.bin": b""}, "has no language model"),
        ({"adapter_config.json": b"{}", "adapter_model.bin": b""}, "but no adapter_model.safetensors beside it"),
        ({"a-Q8_0.gguf": b"", "b.gguf": b""}, f"has GGUF files: choose one, such as {NAME}/a-Q8_0.gguf"),
    ],
)
def test_what_a_hub_has_not_is_refused_before_anything_is_downloaded(
    files: dict[str, bytes],
    line: str,
    small_checkpoint: Path,
    tmp_path: Path,
    cache: Path,
    serve_files: Callable[[dict[str, bytes]], Hub],
) -> None:
    hub = serve_files(files | EXTRA)
    assert line in refused(*command(small_checkpoint, tmp_path), **environment(hub, tmp_path))
    assert hub.transfers == []


@pytest.mark.parametrize(
    ("mark", "form"),
    [({"unsloth_version": "2025.8.1"}, "self-voiced"), ({"unsloth_fixed": True}, "published"), ({}, "published")],
)
def test_the_form_of_the_prompts_is_known_from_what_unsloth_notes(
    mark: dict[str, object], form: PromptForm, small_checkpoint: Path, tmp_path: Path
) -> None:
    model = fine_tune(small_checkpoint, tmp_path / "model")
    content = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(content | mark))
    given = EngineConfig(model=str(small_checkpoint), language_model=str(model))
    assert checkpoints.prompt_form(given) == form
    assert checkpoints.prompt_form(given.model_copy(update={"prompt": "speaker-prefix"})) == "speaker-prefix"


def test_a_lora_of_unsloth_is_known_too(small_checkpoint: Path, tmp_path: Path) -> None:
    adapter = lora(small_checkpoint, tmp_path / "lora")
    content = json.loads((adapter / "adapter_config.json").read_text())
    content["auto_mapping"] = {"base_model_class": "Qwen2ForCausalLM", "unsloth_fixed": True}
    (adapter / "adapter_config.json").write_text(json.dumps(content))
    config = EngineConfig(model=str(small_checkpoint), language_model=str(adapter))
    assert checkpoints.prompt_form(config) == "self-voiced"
    assert checkpoints.prompt_form(EngineConfig(model=str(small_checkpoint))) == "published"


def test_other_language_models_have_other_fingerprints(small_checkpoint: Path, tmp_path: Path) -> None:
    def fingerprint(language_model: Path | None) -> str:
        config = EngineConfig(model=str(small_checkpoint), language_model=language_model and os.fspath(language_model))
        return checkpoints.locate_checkpoint(config).fingerprint

    own = fingerprint(small_checkpoint / "LLM")
    assert own == fingerprint(None) == checkpoints.fingerprint(small_checkpoint)
    others = [fine_tune(small_checkpoint, tmp_path / "model"), lora(small_checkpoint, tmp_path / "lora")]
    others.append(lora(small_checkpoint, tmp_path / "another", lora_alpha=16))
    assert len({own, *map(fingerprint, others)}) == 4
