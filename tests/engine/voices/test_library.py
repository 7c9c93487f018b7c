"""Voices: found by name and id, kept, made once, made again for other weights."""

import asyncio
import gc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.errors import (
    BackendFailed,
    ConsentRequired,
    EngineError,
    InvalidRequest,
    NotOwner,
    UnknownConsent,
    UnknownVoice,
    VoiceExists,
)
from engine.speech import SpeechEngine
from engine.tokens.vocabulary import Vocabulary
from engine.types import ClonedVoiceTokens, CreatedVoiceTokens, Gender, Level, OutputGrammar, VoiceAttributes
from engine.voices.catalogue import BUILT_IN
from tests.engine.fakes import FakeCodec, FakeLanguageModel, fake_engine
from tests.engine.voices.common import recording
from tests.waiting import until


class Parts:
    """An engine and the fakes in it."""

    def __init__(
        self, vocabulary: Vocabulary, directory: Path, model: str = "weights-1", config: EngineConfig | None = None
    ) -> None:
        self.language_model = FakeLanguageModel(vocabulary)
        self.codec = FakeCodec()
        self.engine: SpeechEngine = fake_engine(
            vocabulary, directory, language_model=self.language_model, codec=self.codec, model=model, config=config
        )
        self.voices = self.engine.voices


@pytest.fixture
def parts(vocabulary: Vocabulary, tmp_path: Path) -> Parts:
    return Parts(vocabulary, tmp_path)


async def attributes_of(
    parts: Parts,
    voice: str,
    gender: Gender | None = None,
    pitch: Level | None = None,
    rate: Level | None = None,
) -> VoiceAttributes:
    tokens = await parts.voices.tokens(voice, gender=gender, pitch=pitch, rate=rate)
    assert isinstance(tokens, CreatedVoiceTokens)
    return tokens.attributes


async def transcript_of(parts: Parts, voice: str) -> str | None:
    tokens = await parts.voices.tokens(voice)
    assert isinstance(tokens, ClonedVoiceTokens)
    return tokens.transcript


async def test_a_voice_is_found_by_its_name_and_its_id(parts: Parts) -> None:
    voice = await parts.voices.add("Ada", recording())
    by_name, by_id = await parts.voices.tokens("Ada"), await parts.voices.tokens(voice.id)
    assert by_name.global_tokens.tolist() == by_id.global_tokens.tolist() == [32_000 % 4096] * 32
    assert isinstance(by_name, ClonedVoiceTokens)
    assert by_name.transcript is None


async def test_a_name_is_found_in_any_case(parts: Parts) -> None:
    alloy = await parts.voices.tokens("alloy")
    for name in ("Alloy", "ALLOY"):
        assert (await parts.voices.tokens(name)).global_tokens.tolist() == alloy.global_tokens.tolist()
    lively = await attributes_of(parts, "Alloy", pitch="very_high")
    assert lively == VoiceAttributes("female", "very_high", seed=1)
    upper = await parts.voices.create("ÉVA", VoiceAttributes("female", seed=1))
    lower = await parts.voices.create("éva", VoiceAttributes("female", seed=2))
    for name, made in (("ÉVA", upper), ("éva", lower), ("Éva", upper)):  # the oldest, where none is exactly so
        assert await attributes_of(parts, name) == made.attributes
    with pytest.raises(VoiceExists):
        await parts.voices.create("Alloy", VoiceAttributes("male"))


async def test_a_name_in_another_case_is_of_a_voice_that_the_caller_sees(parts: Parts) -> None:
    await parts.voices.create("Bass", VoiceAttributes("male"), caller="ada", private=True)
    await parts.voices.tokens("BASS", caller="ada")
    with pytest.raises(UnknownVoice, match="BASS"):
        await parts.voices.tokens("BASS", caller="eve")


async def test_a_transcript_brings_the_semantic_tokens_along(parts: Parts) -> None:
    await parts.voices.add("Ada", recording(), "  What she says. ")
    tokens = await parts.voices.tokens("Ada")
    assert isinstance(tokens, ClonedVoiceTokens)
    assert tokens.transcript == "What she says."
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
    assert voice in (await again.voices.list()).items
    assert (await again.voices.tokens("Ada")).global_tokens.size == 32
    after = await again.voices.tokens("alloy")
    assert after.global_tokens.tolist() == before.global_tokens.tolist()
    assert isinstance(before, CreatedVoiceTokens)
    assert isinstance(after, CreatedVoiceTokens)
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
    await until(lambda: parts.language_model.running == 1)
    asking[0].cancel()
    parts.language_model.gate.set()
    first, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert not any(isinstance(tokens, BaseException) for tokens in others)
    assert [prompt.answer for prompt in parts.language_model.prompts] == [OutputGrammar.VOICE_AND_SPEECH]
    assert parts.language_model.running == 0  # its speech was not waited for


async def test_a_voice_that_could_not_be_made_is_tried_again(parts: Parts) -> None:
    parts.language_model.fail_at = 1
    with pytest.raises(EngineError, match="out of memory"):
        await parts.voices.tokens("alloy")
    assert (await parts.voices.tokens("alloy")).global_tokens.size == 32


async def test_every_built_in_name_is_a_voice_of_its_own(parts: Parts) -> None:
    assert len(set(BUILT_IN.values())) == len(BUILT_IN) == 15
    alloy = BUILT_IN["alloy"]
    assert await attributes_of(parts, "alloy") == alloy
    assert await attributes_of(parts, "alloy", pitch="very_high") == replace(alloy, pitch="very_high")
    assert await attributes_of(parts, "alloy", gender="male") == replace(alloy, gender="male")


async def test_a_sampled_voice_keeps_its_gender(parts: Parts) -> None:
    await parts.voices.add("Ada", recording())
    with pytest.raises(InvalidRequest, match="not made from attributes") as caught:
        await parts.voices.tokens("Ada", gender="male")
    assert caught.value.param == "gender"


async def test_a_sampled_voice_takes_another_pitch_and_rate(parts: Parts) -> None:
    await parts.voices.add("Ada", recording())
    tokens = await parts.voices.tokens("Ada", pitch="high", rate="low")
    assert isinstance(tokens, ClonedVoiceTokens)
    assert (tokens.pitch, tokens.rate) == ("high", "low")


async def test_a_created_voice_takes_another_rate(parts: Parts) -> None:
    assert await attributes_of(parts, "alloy", rate="very_low") == replace(BUILT_IN["alloy"], speed="very_low")


async def test_a_voice_that_fails_when_nobody_waits_any_more_is_not_a_crash(parts: Parts) -> None:
    crashes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, crash: crashes.append(crash))
    parts.language_model.gate.clear()
    parts.language_model.fail_at = 1
    asking = asyncio.create_task(parts.voices.tokens("alloy"))
    await until(lambda: bool(parts.language_model.running))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    parts.language_model.gate.set()
    await until(lambda: not parts.language_model.running)
    await asyncio.sleep(0)
    del asking  # whose stack holds what it waited for
    gc.collect()
    assert not crashes
    with suppress(BackendFailed):  # the failure, if it has not been forgotten yet
        await parts.voices.tokens("alloy")
    assert (await parts.voices.tokens("alloy")).global_tokens.shape == (32,)


async def test_names_are_taken_once(parts: Parts) -> None:
    await parts.voices.add("Ada", recording())
    for name in ("Ada", " Ada ", "alloy"):
        with pytest.raises(VoiceExists, match="already"):
            await parts.voices.add(name, recording())
    for name in ("", "  ", "x" * 257):
        with pytest.raises(InvalidRequest, match="1 to 256"):
            await parts.voices.add(name, recording())


async def test_a_refused_sample_leaves_nothing(parts: Parts) -> None:
    before = (await parts.voices.list()).items
    with pytest.raises(InvalidRequest):
        await parts.voices.add("Ada", b"not audio")
    assert (await parts.voices.list()).items == before


async def test_deleting(parts: Parts) -> None:
    voice = await parts.voices.add("Ada", recording())
    await parts.voices.delete(voice.id)
    assert voice not in (await parts.voices.list()).items
    for unknown in (voice.id, "Ada"):
        with pytest.raises(UnknownVoice, match="no voice"):
            await parts.voices.tokens(unknown)
    with pytest.raises(UnknownVoice):
        await parts.voices.delete(voice.id)
    with pytest.raises(InvalidRequest, match="built-in"):
        await parts.voices.delete("alloy")


async def test_a_voice_made_from_attributes_is_kept_under_its_name(
    parts: Parts, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    attributes = VoiceAttributes("male", "very_low", seed=7)
    voice = await parts.voices.create("Bass", attributes)
    before = await parts.voices.tokens("Bass")
    await parts.engine.close()
    again = Parts(vocabulary, tmp_path)
    after = await again.voices.tokens(voice.id)
    assert await attributes_of(again, voice.id) == attributes
    assert after.global_tokens.tolist() == before.global_tokens.tolist()
    assert again.language_model.prompts == []
    assert await attributes_of(again, "Bass", pitch="high") == replace(attributes, pitch="high")
    with pytest.raises(VoiceExists):
        await again.voices.create("Bass", attributes)


async def test_a_voice_that_the_model_could_not_make_is_not_kept(parts: Parts) -> None:
    parts.language_model.fail_at = 1
    with pytest.raises(EngineError, match="out of memory"):
        await parts.voices.create("Bass", VoiceAttributes("male"))
    assert (await parts.voices.create("Bass", VoiceAttributes("male"))).name == "Bass"


async def test_many_who_ask_for_a_voice_of_other_weights_wait_for_one_encoding(
    parts: Parts, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    await parts.voices.add("Ada", recording())
    await parts.engine.close()
    other = Parts(vocabulary, tmp_path, model="weights-2")
    await asyncio.gather(*(other.voices.tokens("Ada") for _ in range(5)))
    assert other.codec.encoded == 1
    await other.engine.close()
    first = Parts(vocabulary, tmp_path)
    await first.voices.tokens("Ada")
    assert first.codec.encoded == 0  # its own tokens are still there


async def test_the_list_goes_on_behind_what_it_ended_with(parts: Parts) -> None:
    made = [(await parts.voices.create(f"Voice {n}", VoiceAttributes("female"))).id for n in range(5)]
    everything = [*BUILT_IN, *made]
    listed: list[str] = []
    while True:
        page = await parts.voices.list(after=listed[-1] if listed else None, limit=4)
        listed += [voice.id for voice in page.items]
        if not page.more:
            break
        assert len(page.items) == 4
    assert listed == everything
    await parts.voices.delete(made[2])
    assert [voice.id for voice in (await parts.voices.list(after=made[2])).items] == made[3:]
    for wrong in ("nothing", "", "voice_\0", "cons_1"):
        with pytest.raises(InvalidRequest) as caught:
            await parts.voices.list(after=wrong)
        assert caught.value.param == "after"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "http://example.com/a.wav", "C:\\voice.wav", "a\0b", "a\nb", "\ud800"]
)
async def test_a_name_is_neither_a_path_nor_a_url_nor_unprintable(parts: Parts, name: str) -> None:
    with pytest.raises(InvalidRequest, match="no slashes, backslashes or control characters") as caught:
        await parts.voices.add(name, recording())
    assert caught.value.param == "name"
    with pytest.raises(UnknownVoice):
        await parts.voices.tokens(name)
    with pytest.raises(UnknownVoice):
        await parts.voices.delete(name)


async def test_a_name_is_the_same_however_its_accents_are_written(parts: Parts) -> None:
    voice = await parts.voices.add("Zoe\u0308", recording())
    assert voice.name == "Zo\u00eb"
    with pytest.raises(VoiceExists):
        await parts.voices.add("Zo\u00eb", recording())
    assert (await parts.voices.tokens("Zoe\u0308")).global_tokens.size == 32


async def test_a_private_voice_is_for_its_owner(parts: Parts) -> None:
    voice = await parts.voices.add("Mine", recording(), caller="ada", private=True)
    assert (await parts.voices.tokens("Mine", "ada")).global_tokens.size == 32
    for stranger in ("bob", ""):
        for name in ("Mine", voice.id):
            with pytest.raises(UnknownVoice):
                await parts.voices.tokens(name, stranger)
        with pytest.raises(UnknownVoice):
            await parts.voices.sample(voice.id, stranger)
        assert voice not in (await parts.voices.list(stranger)).items
    assert (await parts.voices.sample(voice.id, "ada")).data == recording()
    with pytest.raises(InvalidRequest, match="API key"):
        await parts.voices.add("Anyone's", recording(), private=True)


async def test_the_sample_of_a_shared_voice_is_for_its_owner(parts: Parts) -> None:
    voice = await parts.voices.add("Ours", recording(), caller="ada")
    assert (await parts.voices.tokens("Ours", "bob")).global_tokens.size == 32
    with pytest.raises(NotOwner, match="shared with you"):
        await parts.voices.sample(voice.id, "bob")
    with pytest.raises(InvalidRequest, match="not made from a sample"):
        await parts.voices.sample("alloy")


async def test_a_transcript_comes_and_goes(parts: Parts) -> None:
    voice = await parts.voices.add("Ada", recording())
    changed = await parts.voices.change(voice.id, transcript=" What she says, as it is heard. ")
    assert changed.transcript == "What she says, as it is heard."
    assert await transcript_of(parts, "Ada") == changed.transcript
    assert (await parts.voices.change(voice.id, name="Eve")).transcript == changed.transcript
    assert (await parts.voices.change(voice.id, transcript="")).transcript is None
    assert await transcript_of(parts, "Eve") is None
    assert parts.codec.encoded == 1
    bass = await parts.voices.create("Bass", VoiceAttributes("male"))
    with pytest.raises(InvalidRequest, match="not made from a sample"):
        await parts.voices.change(bass.id, transcript="What it says.")
    with pytest.raises(InvalidRequest, match="built-in"):
        await parts.voices.change("alloy", name="Alloy 2")


async def test_a_transcript_that_is_of_something_else_is_noticed(parts: Parts) -> None:
    odd = "This goes on for much longer than the two seconds that there are in the recording of a voice."
    ada = await parts.voices.add("Ada", recording(), odd)
    eve = await parts.voices.add("Eve", recording(), "Two seconds of it.")
    assert [any("to say" in line for line in voice.warnings) for voice in (ada, eve)] == [True, False]


async def test_a_transcript_that_leaves_no_room_to_answer_is_refused(parts: Parts) -> None:
    parts.language_model.context = 1800 + 150
    words = "word " * 45  # a token or two each
    assert (await parts.voices.add("Fits", recording(), "Two seconds of it.")).transcript
    before = await parts.voices.list()
    with pytest.raises(InvalidRequest, match=r"sample of 2.0 s and its transcript take .* room for 150") as caught:
        await parts.voices.add("Ada", recording(), words)
    assert caught.value.param == "transcript"
    assert await parts.voices.list() == before

    parts.language_model.context = 1800  # of another server on the same store
    assert await transcript_of(parts, "Fits") is None


async def test_a_transcript_does_not_fit_a_sample_that_was_cut(parts: Parts) -> None:
    voice = await parts.voices.add("Long", recording(31))
    for attempt in (
        parts.voices.add("Longer", recording(31), "All that is said."),
        parts.voices.change(voice.id, transcript="All that is said."),
    ):
        with pytest.raises(InvalidRequest, match="Only the beginning") as caught:
            await attempt
        assert caught.value.param == "transcript"


async def test_where_consent_is_required_no_sample_speaks_without(vocabulary: Vocabulary, tmp_path: Path) -> None:
    before = Parts(vocabulary, tmp_path)
    old = await before.voices.add("Old", recording())
    await before.engine.close()
    parts = Parts(vocabulary, tmp_path, config=EngineConfig(require_consent=True))
    with pytest.raises(ConsentRequired, match="'Old' has no consent"):
        await parts.voices.tokens(old.id)
    with pytest.raises(InvalidRequest, match="requires a consent") as caught:
        await parts.voices.add("Ada", recording())
    assert caught.value.param == "consent"
    with pytest.raises(UnknownConsent):
        await parts.voices.add("Ada", recording(), consent="cons_1")
    consent = await parts.engine.consents.add("Ada agrees", recording(), "en-GB")
    await parts.voices.add("Ada", recording(), consent=consent.id)
    assert (await parts.voices.tokens("Ada")).global_tokens.size == 32
    await parts.engine.consents.delete(consent.id)
    with pytest.raises(ConsentRequired):
        await parts.voices.tokens("Ada")
    await parts.voices.create("Bass", VoiceAttributes("male"))  # nobody's voice
    assert (await parts.voices.tokens("Bass")).global_tokens.size == 32


async def test_where_consent_is_not_required_an_unknown_one_is_a_warning(parts: Parts) -> None:
    voice = await parts.voices.add("Ada", recording(), consent="cons_1")
    assert voice.consent is None
    assert any("no consent 'cons_1'" in line for line in voice.warnings)


async def test_a_consent_is_a_recording_with_a_language(parts: Parts) -> None:
    consents = parts.engine.consents
    with pytest.raises(InvalidRequest) as caught:
        await consents.add("Ada agrees", b"I agree", "en")
    assert caught.value.param == "recording"
    for language in ("", "english!", "e", "en-", "en_US"):
        with pytest.raises(InvalidRequest, match="BCP 47"):
            await consents.add("Ada agrees", recording(), language)
    consent = await consents.add(" Ada agrees ", recording(), "zh-Hans-CN")
    assert (await consents.list()).items == [consent]
    assert (await consents.rename(consent.id, "Renamed")).name == "Renamed"
    with pytest.raises(UnknownConsent):
        await consents.get("cons_\0")
    with pytest.raises(InvalidRequest):
        await consents.list(after="voice_1")
