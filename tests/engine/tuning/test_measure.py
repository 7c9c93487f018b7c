"""Measuring a small model, and how the engine follows the result. The figures themselves mean nothing here."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoints import locate_checkpoint
from engine.codec.bicodec import BiCodec
from engine.codec.selection import choose_form
from engine.config import EngineConfig
from engine.errors import CheckpointError, EngineError
from engine.tuning import store
from engine.tuning.child import Message
from engine.tuning.measure import received, tune
from engine.tuning.tables import CodecRow, Tuning
from tests.waiting import NEVER

MEASURED = Tuning(host="this", threads=1, date="2026-11-25", versions={})


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")  # no compiler: building takes a minute, and has a test of its own


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_model_is_measured_once_and_the_result_is_kept(small_checkpoint: Path, backend: str) -> None:
    config = EngineConfig.model_validate({"model": small_checkpoint, "backend": backend, "max_running": 3})
    tuning = tune(config, again=False)
    assert tuning is not None
    assert store.recall(locate_checkpoint(config), config) == tuning
    assert tune(config, again=False) is None
    assert [row.precision for row in tuning.codec[:2]] == ["float32", "bfloat16"]
    assert all(set(row.seconds) == {24, 52, 150} for row in tuning.codec)
    assert {row.precision for row in tuning.language_model} >= {"float32", "int8", "bfloat16"}
    assert all(set(row.rates) == {1, 2, 3} for row in tuning.language_model)
    divergence = {row.precision: row.divergence for row in tuning.language_model}
    assert divergence.pop("float32") == 0
    assert all(0 < value < 0.5 for value in divergence.values())
    assert ("llama-cpp" in {row.backend for row in tuning.language_model}) == (backend == "auto")


def test_another_host_or_setting_has_a_result_of_its_own(small_checkpoint: Path) -> None:
    config = EngineConfig(model=str(small_checkpoint))
    store.keep(locate_checkpoint(config), config, MEASURED)
    assert store.recall(locate_checkpoint(config), config) == MEASURED
    assert store.recall(locate_checkpoint(config), config.model_copy(update={"max_running": 2})) is None
    assert store.recall(locate_checkpoint(config), config.model_copy(update={"threads": 100})) is None


@pytest.mark.parametrize(
    ("variable", "value"), [("ATEN_CPU_CAPABILITY", "avx2"), ("ONEDNN_MAX_CPU_ISA", "AVX2"), ("OMP_NUM_THREADS", "64")]
)
def test_limits_of_the_libraries_have_a_result_of_their_own(
    small_checkpoint: Path, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    config = EngineConfig(model=str(small_checkpoint))
    store.keep(locate_checkpoint(config), config, MEASURED)
    monkeypatch.setenv(variable, value)
    assert store.recall(locate_checkpoint(config), config) is None


def test_what_was_measured_for_one_backend_is_not_a_choice_between_all(small_checkpoint: Path) -> None:
    config = EngineConfig(model=str(small_checkpoint), backend="torch")
    store.keep(locate_checkpoint(config), config, MEASURED)
    assert store.recall(locate_checkpoint(config), config.model_copy(update={"backend": "auto"})) is None


@pytest.mark.slow
def test_of_two_starts_at_once_one_measures(small_checkpoint: Path) -> None:
    config = EngineConfig(model=str(small_checkpoint), backend="torch", max_running=1)
    with ThreadPoolExecutor() as threads:
        found = list(threads.map(lambda _: tune(config, again=False), range(2)))
    assert sum(tuning is None for tuning in found) == 1


@pytest.mark.slow
def test_a_backend_that_is_not_available_is_left_out(small_checkpoint: Path, tmp_path: Path) -> None:
    model = shutil.copytree(small_checkpoint, tmp_path / "model", ignore=shutil.ignore_patterns("*.gguf", "*.lock"))
    (model / "LLM" / "fast-spark-q8_0.lock").mkdir()  # so the model cannot be converted
    tuning = tune(EngineConfig(model=str(model), backend="llama-cpp", max_running=1))
    assert tuning is not None
    assert [row.backend for row in tuning.language_model] == ["torch"]


def test_a_cache_that_cannot_be_written_is_told_before_anything_is_measured(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    config = EngineConfig(model=str(small_checkpoint))
    assert tune(config, again=False) is None
    assert "cannot be written" in caplog.text
    with pytest.raises(EngineError, match=r"This host was not measured: .* cannot be written"):
        tune(config)


def sent(*messages: Message) -> Connection:
    """A connection whose other side sends these messages and is closed."""
    receiver, sender = Pipe(duplex=False)
    for message in messages:
        sender.send(message)
    sender.close()
    return receiver


def test_what_was_measured_before_a_process_dies_is_the_result(caplog: pytest.LogCaptureFixture) -> None:
    more = MEASURED.model_copy(update={"threads": 2})
    assert received(sent(MEASURED, more, None), time.monotonic() + NEVER) == more
    assert not caplog.text
    assert received(sent(MEASURED, more), time.monotonic() + NEVER) == more
    assert "the process that measures has died" in caplog.text
    assert received(sent(MEASURED, "MemoryError"), time.monotonic() + NEVER) == MEASURED
    assert "Not everything was measured: MemoryError" in caplog.text


def test_what_is_not_measured_in_time_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    receiver, sender = Pipe(duplex=False)
    with pytest.raises(EngineError, match="there was no time"):
        received(receiver, time.monotonic())
    sender.send(MEASURED)
    assert received(receiver, time.monotonic() + 0.5) == MEASURED
    assert "there was no time" in caplog.text


@pytest.mark.parametrize("messages", [(), ("MemoryError",)])
def test_nothing_was_measured(messages: tuple[Message, ...]) -> None:
    with pytest.raises(EngineError, match=r"This host was not measured: .*\."):
        received(sent(*messages), time.monotonic() + NEVER)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"codec": 5}', b"\xff\x00"])
def test_a_damaged_result_is_none(small_checkpoint: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    config = EngineConfig(model=str(small_checkpoint))
    file = store.result_file(locate_checkpoint(config), config)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert store.recall(locate_checkpoint(config), config) is None
    assert str(file) in caplog.text


def test_the_demo_model_is_not_measured() -> None:
    assert tune(EngineConfig()) is None


def test_a_missing_model_is_named() -> None:
    with pytest.raises(CheckpointError, match="There is no directory /nowhere"):
        tune(EngineConfig(model="/nowhere"))


def test_the_codec_takes_the_form_that_was_fastest(small_checkpoint: Path) -> None:
    row = CodecRow(precision="bfloat16", fused=False, plain=("decoder.model.0",), seconds={24: 0.1}, snr=37.0)
    tuning = Tuning(host="this", threads=1, date="2026-11-25", versions={}, codec=(row,))
    device, form = choose_form(EngineConfig(codec_device="cpu"), tuning)
    assert (form.dtype, form.plain) == (torch.bfloat16, {"decoder.model.0"})
    assert choose_form(EngineConfig(codec_device="cpu", codec_precision="float32"), tuning)[1].dtype == torch.float32
    assert choose_form(EngineConfig(codec_device="cpu"), None)[1].dtype == torch.float32
    tokens, voice = np.arange(40), np.arange(32)
    packed = BiCodec.from_checkpoint(small_checkpoint, device=device, form=replace(form, plain=frozenset()))
    plain = BiCodec.from_checkpoint(small_checkpoint, device=device, form=form)
    np.testing.assert_allclose(plain.decode(tokens, voice), packed.decode(tokens, voice), atol=0.02)
