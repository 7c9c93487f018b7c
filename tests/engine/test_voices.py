"""Voices: found by name and id, kept, made once, made again for other weights."""

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.catalogue import BUILT_IN
from engine.errors import EngineError, InvalidRequest, UnknownVoice, VoiceExists
from engine.speech import SpeechEngine
from engine.types import Answer
from engine.vocabulary import Vocabulary
from engine.voice_store import VoiceStore
from tests.engine.fakes import FakeCodec, FakeLanguageModel, fake_engine


def recording(seconds: float = 2.0) -> bytes:
    """A wav file of noise."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, int(seconds * 16_000))
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format="WAV")
    return file.getvalue()


class Parts:
    """An engine and the fakes in it."""

    def __init__(self, vocabulary: Vocabulary, directory: Path, model: str = "weights-1") -> None:
        self.language_model = FakeLanguageModel(vocabulary)
        self.codec = FakeCodec()
        self.engine: SpeechEngine = fake_engine(
            vocabulary, directory, language_model=self.language_model, codec=self.codec, model=model
        )
        self.voices = self.engine.voices


@pytest.fixture
def parts(vocabulary: Vocabulary, tmp_path: Path) -> Parts:
    return Parts(vocabulary, tmp_path)


async def test_a_voice_is_found_by_its_name_and_its_id(parts: Parts) -> None:
    voice = await parts.voices.add("Ada", recording())
    by_name, by_id = await parts.voices.tokens("Ada"), await parts.voices.tokens(voice.id)
    assert by_name.global_tokens.tolist() == by_id.global_tokens.tolist() == [32_000 % 4096] * 32
    assert by_name.semantic_tokens is None  # of no use without the transcript


async def test_a_transcript_brings_the_semantic_tokens_along(parts: Parts) -> None:
    await parts.voices.add("Ada", recording(), "  What she says. ")
    tokens = await parts.voices.tokens("Ada")
    assert tokens.transcript == "What she says."
    assert tokens.semantic_tokens is not None
    assert tokens.semantic_tokens.tolist() == list(range(100))


async def test_the_encoder_runs_once_a_voice(parts: Parts) -> None:
    await parts.voices.add("Ada", recording())
    for _ in range(3):
        await parts.voices.tokens("Ada")
    assert parts.codec.encoded == 1


async def test_voices_are_there_after_a_restart(parts: Parts, vocabulary: Vocabulary, tmp_path: Path) -> None:
    voice = await parts.voices.add("Ada", recording())
    before = await parts.voices.tokens("alloy")
    await parts.engine.close()

    again = Parts(vocabulary, tmp_path)
    assert voice in await again.voices.list()
    assert (await again.voices.tokens("Ada")).global_tokens.size == 32
    after = await again.voices.tokens("alloy")
    assert after.global_tokens.tolist() == before.global_tokens.tolist()
    assert after.acoustic_ids == before.acoustic_ids
    assert (again.codec.encoded, again.language_model.prompts) == (0, [])


async def test_other_weights_encode_the_sample_anew_once(parts: Parts, vocabulary: Vocabulary, tmp_path: Path) -> None:
    await parts.voices.add("Ada", recording())
    await parts.voices.tokens("alloy")
    await parts.engine.close()

    other = Parts(vocabulary, tmp_path, model="weights-2")
    for _ in range(2):
        await other.voices.tokens("Ada")
        await other.voices.tokens("alloy")
    assert other.codec.encoded == 1
    assert len(other.language_model.prompts) == 1


async def test_a_created_voice_is_made_once_however_many_ask(parts: Parts) -> None:
    parts.language_model.gate.clear()
    asking = [asyncio.create_task(parts.voices.tokens("alloy")) for _ in range(5)]
    await asyncio.sleep(0.05)
    asking[0].cancel()  # whose question began it
    parts.language_model.gate.set()
    first, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert {id(tokens) for tokens in others} == {id(others[0])}
    assert [prompt.answer for prompt in parts.language_model.prompts] == [Answer.VOICE_AND_SPEECH]
    assert parts.language_model.running == 0  # its speech was not waited for


async def test_a_voice_that_could_not_be_made_is_tried_again(parts: Parts) -> None:
    parts.language_model.fail_at = 1
    with pytest.raises(EngineError, match="out of memory"):
        await parts.voices.tokens("alloy")
    assert (await parts.voices.tokens("alloy")).global_tokens.size == 32


async def test_every_built_in_name_is_a_voice_of_its_own(parts: Parts) -> None:
    assert len(set(BUILT_IN.values())) == len(BUILT_IN) == 15
    alloy = await parts.voices.tokens("alloy")
    higher = await parts.voices.tokens("alloy", pitch="very_high")
    man = await parts.voices.tokens("alloy", gender="male")
    assert alloy.attributes == BUILT_IN["alloy"]
    assert higher.attributes == replace(BUILT_IN["alloy"], pitch="very_high")
    assert man.attributes == replace(BUILT_IN["alloy"], gender="male")


@pytest.mark.parametrize("change", [{"pitch": "high"}, {"gender": "male"}])
async def test_a_sampled_voice_cannot_be_changed(parts: Parts, change: dict[str, str]) -> None:
    await parts.voices.add("Ada", recording())
    with pytest.raises(InvalidRequest, match="built-in voices only") as caught:
        await parts.voices.tokens("Ada", **change)  # type: ignore[arg-type]
    assert caught.value.param == next(iter(change))


async def test_names_are_taken_once(parts: Parts) -> None:
    await parts.voices.add("Ada", recording())
    for name in ("Ada", " Ada ", "alloy"):
        with pytest.raises(VoiceExists, match="already"):
            await parts.voices.add(name, recording())
    for name in ("", "  ", "x" * 257):
        with pytest.raises(InvalidRequest, match="1 to 256"):
            await parts.voices.add(name, recording())


async def test_a_refused_sample_leaves_nothing(parts: Parts) -> None:
    before = await parts.voices.list()
    with pytest.raises(InvalidRequest):
        await parts.voices.add("Ada", b"not audio")
    assert await parts.voices.list() == before


async def test_deleting(parts: Parts) -> None:
    voice = await parts.voices.add("Ada", recording())
    await parts.voices.delete(voice.id)
    assert voice not in await parts.voices.list()
    for unknown in (voice.id, "Ada"):
        with pytest.raises(UnknownVoice, match="no voice"):
            await parts.voices.tokens(unknown)
    with pytest.raises(UnknownVoice):
        await parts.voices.delete(voice.id)
    with pytest.raises(InvalidRequest, match="built-in"):
        await parts.voices.delete("alloy")


def test_a_store_that_cannot_be_opened_says_so() -> None:
    with pytest.raises(EngineError, match=r"voice store .* cannot be opened"):
        VoiceStore("sqlite:////nowhere/at/all/voices.db")
    with pytest.raises(EngineError, match="cannot be opened"):
        VoiceStore("no url")
