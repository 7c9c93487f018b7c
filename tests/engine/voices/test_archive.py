"""Exported voices: whole on another server, and checked when they come in."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from engine.config import EngineConfig
from engine.errors import InvalidRequest, VoiceExists
from engine.types import ClonedVoiceTokens, CreatedVoiceTokens, Recording, Sample, Voice, VoiceAttributes
from engine.voices.archive import export_voice, import_voice
from engine.voices.database import Database
from engine.voices.naming import new_id
from engine.voices.store import VoiceStore

CONFIG = EngineConfig()
TOKENS = ClonedVoiceTokens(np.arange(32), np.arange(100))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[VoiceStore]:
    with closing(Database(f"sqlite:///{tmp_path / 'here.db'}")) as database:
        yield VoiceStore(database)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[VoiceStore]:
    with closing(Database(f"sqlite:///{tmp_path / 'there.db'}")) as database:
        yield VoiceStore(database)


@pytest.fixture
def exported(here: VoiceStore, golden: Path) -> bytes:
    sample = Sample(Recording((golden / "clip.wav").read_bytes(), "audio/wav"), cut=False)
    ada = Voice(new_id("voice_"), "Ada", 1, owner="ada", private=True, transcript="What she says.")
    here.add(ada, sample, {"weights": TOKENS, "others": TOKENS})
    return export_voice(here, ada)


def test_a_sampled_voice_moves_whole(there: VoiceStore, exported: bytes, golden: Path) -> None:
    voice = import_voice(there, exported, CONFIG)
    assert there.find("Ada", "") == voice
    assert (voice.transcript, voice.owner, voice.private) == ("What she says.", "", False)
    assert there.sample(voice.id).recording == Recording((golden / "clip.wav").read_bytes(), "audio/wav")
    for model in ("weights", "others"):
        saved = there.tokens(voice, model)
        assert isinstance(saved, ClonedVoiceTokens)
        np.testing.assert_array_equal(saved.global_tokens, TOKENS.global_tokens)
        np.testing.assert_array_equal(saved.semantic_tokens, TOKENS.semantic_tokens)
    with pytest.raises(VoiceExists):
        import_voice(there, exported, CONFIG)
    assert import_voice(there, exported, CONFIG, name="Eve").name == "Eve"


def test_a_created_voice_moves_and_changes_no_other(here: VoiceStore, there: VoiceStore) -> None:
    attributes = VoiceAttributes("female", "low", seed=1)  # alloy's
    alto = replace(Voice(new_id("voice_"), "Alto", 1), attributes=attributes)
    here.add(alto, None, {"weights": CreatedVoiceTokens(np.arange(32), attributes, (7, 8, 9))})
    voice = import_voice(there, export_voice(here, alto), CONFIG)
    assert voice.attributes == attributes
    saved = there.tokens(voice, "weights")
    assert isinstance(saved, CreatedVoiceTokens)
    assert saved.acoustic_ids == (7, 8, 9)
    assert there.created_tokens("weights", attributes) is None


def changed(exported: bytes, manifest: dict[str, str] | None = None, **tensors: Any) -> bytes:
    size = int.from_bytes(exported[:8], "little")
    kept = json.loads(exported[8 : 8 + size])["__metadata__"] | (manifest or {})
    whole = {**safetensors.numpy.load(exported), **{name.replace("__", "/"): value for name, value in tensors.items()}}
    return safetensors.numpy.save({name: value for name, value in whole.items() if value is not None}, kept)


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: b"",
        lambda data: b"not a voice",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: changed(data, {"format": "fast-spark voice 2"}),
        lambda data: changed(data, {"more": "of it"}),
        lambda data: changed(data, {"transcript": "x" * 4097}),
        lambda data: changed(data, {"attributes": '{"gender": "robot"}'}),
        lambda data: changed(data, {"attributes": "{"}),
        lambda data: changed(data, sample=None),
        lambda data: changed(data, weights__global=np.arange(31)),
        lambda data: changed(data, weights__global=np.arange(32) + 4096),
        lambda data: changed(data, weights__global=np.arange(32.0)),
        lambda data: changed(data, weights__global=None),
        lambda data: changed(data, weights__prompt=np.arange(9) - 1),
        lambda data: changed(data, weights__prompt=np.full(5, 8192)),
        lambda data: changed(data, weights__prompt=np.zeros(20_000, np.int64)),
        lambda data: changed(data, weights__prompt=np.zeros((5, 5), np.int64)),
        lambda data: safetensors.numpy.save({"sample": np.zeros(5)}),
    ],
)
def test_a_file_that_is_no_voice_is_refused_and_leaves_nothing(there: VoiceStore, exported: bytes, harm: Any) -> None:
    with pytest.raises(InvalidRequest, match="not a voice that Fast-Spark exported"):
        import_voice(there, harm(exported), CONFIG)
    assert there.page(None, None, 10) == []


def test_names_and_samples_that_are_imported_are_checked_as_uploads_are(there: VoiceStore, exported: bytes) -> None:
    with pytest.raises(InvalidRequest, match="no slashes"):
        import_voice(there, changed(exported, {"name": "../ada"}), CONFIG)
    with pytest.raises(VoiceExists):
        import_voice(there, changed(exported, {"name": "alloy"}), CONFIG)
    with pytest.raises(InvalidRequest, match="not readable as audio"):
        import_voice(there, changed(exported, sample=np.frombuffer(b"<script>", np.uint8)), CONFIG)
    assert there.page(None, None, 10) == []
