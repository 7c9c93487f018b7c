"""Exported voices: whole on another server, and checked at import."""

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import soundfile

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


TOKEN_BYTES = {"w/global": ("I64", [32], np.arange(32).tobytes()), "w/prompt": ("I64", [9], np.arange(9).tobytes())}
Tensor = tuple[str, list[int], bytes] | tuple[str, list[int], bytes, list[int]]


def crafted(
    *, manifest: dict[str, Any] | None = None, header: str | None = None, length: int | None = None, **tensors: Tensor
) -> Callable[[bytes], bytes]:
    """A file that no library writes: tensors of a type, a shape, bytes and, if they lie, offsets."""

    def craft(sample: bytes) -> bytes:
        made: dict[str, Tensor] = {"sample": ("U8", [len(sample)], sample), **TOKEN_BYTES}
        made |= {name.replace("__", "/"): tensor for name, tensor in tensors.items()}
        entries: dict[str, Any] = {"__metadata__": {"format": "fast-spark voice 1", "name": "Ada"} | (manifest or {})}
        data = b""
        for name, (dtype, shape, content, *offsets) in made.items():
            offsets = offsets or [[len(data), len(data) + len(content)]]
            entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets[0]}
            data += content
        head = (header or json.dumps(entries)).encode()
        return (len(head) if length is None else length).to_bytes(8, "little") + head + data

    return craft


G = TOKEN_BYTES["w/global"][2]
PARTS = ("global", "prompt")
CRAFTED: dict[str, Callable[[bytes], bytes]] = {
    "a header of 2^63 bytes": crafted(length=2**63),
    "a header of 1 TB": crafted(length=2**40),
    "a header that is nested deeply": crafted(header="[" * 100_000),
    "attributes that are nested deeply": crafted(manifest={"attributes": "[" * 100_000}),
    "a shape of 2^60": crafted(w__global=("I64", [2**60], G)),
    "a shape that overflows": crafted(w__global=("I64", [2**32, 2**32, 2**32], G)),
    "a shape of nothing": crafted(w__global=("I64", [2**62, 0], b"")),
    "offsets beyond the end": crafted(w__global=("I64", [32], G, [0, 10**12])),
    "negative offsets": crafted(w__global=("I64", [32], G, [-5, 251])),
    "tensors that overlap": crafted(w__global=("I64", [32], G, [0, 256])),
    "bfloat16": crafted(w__global=("BF16", [32], bytes(64))),
    "float8": crafted(w__global=("F8_E4M3", [32], bytes(32))),
    "truth values": crafted(w__global=("BOOL", [32], bytes(32))),
    "an object": crafted(w__global=("OBJECT", [32], bytes(32))),
    "floats that are called integers": crafted(w__global=("I64", [32], np.full(32, 0.5).tobytes())),
    "a sample of 64-bit numbers": crafted(sample=("I64", [4], bytes(32))),
    "a sample of two dimensions": crafted(sample=("U8", [2, 50], bytes(100))),
    "a path as a model": crafted(**{".__global": TOKEN_BYTES["w/global"], ".__prompt": TOKEN_BYTES["w/prompt"]}),
    "parent directories": crafted(**{"..__..__etc__passwd": ("U8", [1], b"x")}),
    "NUL in a model": crafted(**{"a\0__global": TOKEN_BYTES["w/global"], "a\0__prompt": TOKEN_BYTES["w/prompt"]}),
    "half a model": crafted(other__global=TOKEN_BYTES["w/global"]),
    "another tensor": crafted(program=("U8", [4], b"\x7fELF")),
    "very many models": crafted(**{f"m{n}__{part}": ("I64", [32], G) for n in range(99) for part in PARTS}),
    "a sample of a created voice": crafted(manifest={"attributes": '{"gender": "female"}'}),
    "a seed that is too large": crafted(manifest={"attributes": '{"gender": "female", "seed": 4294967296}'}),
    "NUL in the transcript": crafted(manifest={"transcript": "a\0b"}),
    "a number as the name": crafted(manifest={"name": 5}),
    "a pickle": lambda sample: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "a zip file": lambda sample: b"PK\3\4" + bytes(500),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_refused_at_no_cost(there: VoiceStore, golden: Path, name: str) -> None:
    file = CRAFTED[name]((golden / "clip.wav").read_bytes())
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="not a voice that Fast-Spark exported"):
            import_voice(there, file, CONFIG)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(file) + 2**20
    finally:
        tracemalloc.stop()
    assert there.page(None, None, 10) == []


def test_a_crafted_file_that_does_not_lie_is_a_voice(there: VoiceStore, golden: Path) -> None:
    assert import_voice(there, crafted()((golden / "clip.wav").read_bytes()), CONFIG).name == "Ada"


@pytest.mark.parametrize(("peak", "message"), [(0, "is silent"), (20_000, None)])
def test_a_sample_that_is_a_bomb_is_heard_no_longer_than_any(there: VoiceStore, peak: int, message: str | None) -> None:
    """An hour in less than 1 MB, of which the file does not say that only a part was used."""
    hour = np.zeros(3600 * 8_000, np.int16)
    hour[: 60 * 8_000] = peak * np.sin(np.arange(60 * 8_000) / 7)
    file = io.BytesIO()
    soundfile.write(file, hour, 8_000, format="FLAC")
    bomb = crafted()(file.getvalue())
    if message:
        with pytest.raises(InvalidRequest, match=message):
            import_voice(there, bomb, CONFIG)
    else:
        assert there.sample(import_voice(there, bomb, CONFIG).id).cut
