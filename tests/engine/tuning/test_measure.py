"""Measuring a small model, and how the engine follows the result. The figures themselves mean nothing here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoints import locate_checkpoint
from engine.codec.bicodec import BiCodec
from engine.codec.selection import choose_form
from engine.config import EngineConfig
from engine.errors import CheckpointError
from engine.tuning import store
from engine.tuning.measure import tune
from engine.tuning.tables import CodecRow, Tuning


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
    tuning = Tuning(host="this", threads=1, date="2026-11-25", versions={})
    store.keep(locate_checkpoint(config), config, tuning)
    assert store.recall(locate_checkpoint(config), config) == tuning
    assert store.recall(locate_checkpoint(config), config.model_copy(update={"max_running": 2})) is None
    assert store.recall(locate_checkpoint(config), config.model_copy(update={"threads": 1})) is None


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
