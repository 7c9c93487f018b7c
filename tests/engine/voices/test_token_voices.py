"""Voices that are made from tokens, and voices that a self-voiced model writes itself."""

import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.config import EngineConfig
from engine.errors import ConsentRequired, EngineError, InvalidRequest, VoiceExists
from engine.speech import SpeechEngine
from engine.tokens.vocabulary import Vocabulary
from engine.types import ClonedVoiceTokens, OutputGrammar, SpeechRequest, VoiceAttributes
from engine.voices.archive import export_voice, import_voice
from engine.voices.database import Database
from engine.voices.speakers import import_speakers
from engine.voices.store import VoiceStore
from tests.engine.fakes import FakeLanguageModel, fake_engine

TOKENS = ClonedVoiceTokens(np.arange(32) * 100, np.arange(100), "Two seconds of words are here.")
SPEECH = SpeechRequest("First. " * 20 + "Second sentence, which is here.", "tara", max_tokens=5)


async def speak(engine: SpeechEngine, request: SpeechRequest) -> int:
    """The number of semantic tokens."""
    async with aclosing(engine.synthesize(request)) as chunks:
        return [chunk.usage.output_tokens async for chunk in chunks][-1]


def engine_of(
    vocabulary: Vocabulary, directory: Path, model: str = "weights-1", **settings: object
) -> tuple[SpeechEngine, FakeLanguageModel]:
    language_model = FakeLanguageModel(vocabulary)
    config = EngineConfig.model_validate({"sentences_ahead": 1, **settings})
    return fake_engine(vocabulary, directory, language_model=language_model, model=model, config=config), language_model


async def test_a_voice_from_tokens_speaks_with_every_model(vocabulary: Vocabulary, tmp_path: Path) -> None:
    engine, _ = engine_of(vocabulary, tmp_path)
    voice = await engine.voices.add_tokens("Ada", TOKENS, text_prefix="243:", language="ha")
    assert (voice.from_tokens, voice.text_prefix, voice.language) == (True, "243", "ha")
    for model in ("weights-1", "weights-2"):
        engine, _ = engine_of(vocabulary, tmp_path, model)
        tokens = await engine.voices.tokens("Ada")
        assert isinstance(tokens, ClonedVoiceTokens)
        assert tokens.global_tokens.tolist() == TOKENS.global_tokens.tolist()
        assert tokens.semantic_tokens.tolist() == TOKENS.semantic_tokens.tolist()
        assert (tokens.transcript, tokens.text_prefix, tokens.language) == (TOKENS.transcript, "243", "ha")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"global_tokens": np.full(32, 4096)}, "global_tokens"),
        ({"global_tokens": np.full(32, -1)}, "global_tokens"),
        ({"semantic_tokens": np.array([512])}, "semantic_tokens"),
        ({"semantic_tokens": np.zeros(0, np.int64)}, "transcript"),
    ],
)
async def test_tokens_that_do_not_exist_are_refused(
    vocabulary: Vocabulary, tmp_path: Path, change: dict[str, np.ndarray], param: str
) -> None:
    engine, _ = engine_of(vocabulary, tmp_path)
    with pytest.raises(InvalidRequest) as caught:
        await engine.voices.add_tokens("Ada", replace(TOKENS, **change))
    assert caught.value.param == param
    assert (await engine.voices.list(limit=1000)).items[-1].built_in


async def test_a_voice_from_tokens_needs_a_consent_where_others_do(vocabulary: Vocabulary, tmp_path: Path) -> None:
    engine, _ = engine_of(vocabulary, tmp_path)
    await engine.voices.add_tokens("Ada", TOKENS)
    engine, _ = engine_of(vocabulary, tmp_path, require_consent=True)
    with pytest.raises(InvalidRequest, match="consent"):
        await engine.voices.add_tokens("Eve", TOKENS)
    with pytest.raises(ConsentRequired):
        await engine.voices.tokens("Ada")


async def test_a_voice_from_tokens_has_no_sample_but_can_be_changed_and_exported(
    vocabulary: Vocabulary, tmp_path: Path
) -> None:
    engine, _ = engine_of(vocabulary, tmp_path / "here")
    voice = await engine.voices.add_tokens("Ada", TOKENS, text_prefix="243")
    with pytest.raises(InvalidRequest, match="not made from a sample"):
        await engine.voices.sample(voice.id)
    changed = await engine.voices.change(voice.id, transcript="Other words, as long as these.", language="yo")
    assert (changed.transcript, changed.language) == ("Other words, as long as these.", "yo")

    exported = export_voice(VoiceStore(Database.in_directory(tmp_path / "here")), changed)
    there = VoiceStore(Database.in_directory(tmp_path / "there"))
    imported = import_voice(there, exported, EngineConfig())
    assert replace(imported, id=voice.id, created_at=voice.created_at) == changed
    tokens = there.tokens(imported, "any")
    assert tokens is not None
    assert tokens.global_tokens.tolist() == TOKENS.global_tokens.tolist()


@pytest.mark.parametrize("form", ["self-voiced", "speaker-prefix"])
@pytest.mark.parametrize("delimits", [True, False])
async def test_a_self_voiced_model_keeps_the_voice_of_its_first_sentence(
    vocabulary: Vocabulary, tmp_path: Path, form: str, delimits: bool
) -> None:
    engine, model = engine_of(vocabulary, tmp_path, prompt=form)
    model.delimits = delimits
    await engine.voices.create("tara", VoiceAttributes("female"))
    assert model.prompts == []  # the voice is made when it first speaks
    spoken = await speak(engine, SPEECH)
    own, first, *others = model.prompts
    assert own.answer is OutputGrammar.OWN_VOICE_AND_SPEECH
    prefix = "tara: " if form == "speaker-prefix" else ""
    assert tuple(vocabulary.text(f"{prefix}First.")) == own.ids[2 : 2 + len(vocabulary.text(f"{prefix}First."))]
    assert others
    voices = {tuple(token for token in prompt.ids if token in vocabulary.globals.ids) for prompt in (first, *others)}
    assert voices == {(vocabulary.globals.first + len(own.ids) % 4096,) * 32}
    assert {prompt.answer for prompt in (first, *others)} == {OutputGrammar.AFTER_VOICE}
    assert spoken == sum(min(sampling.max_tokens, 5) for sampling in model.samplings[1:])  # delimiters are not speech

    engine, model = engine_of(vocabulary, tmp_path, prompt=form)  # after a restart, with another text
    await speak(engine, replace(SPEECH, text="Something else."))
    assert [prompt.answer for prompt in model.prompts] == [OutputGrammar.AFTER_VOICE]
    assert {token for token in model.prompts[0].ids if token in vocabulary.globals.ids} == set(next(iter(voices)))


async def test_each_speaker_of_a_self_voiced_model_has_a_voice_of_its_own(
    vocabulary: Vocabulary, tmp_path: Path
) -> None:
    engine, model = engine_of(vocabulary, tmp_path, prompt="self-voiced")
    for name, prefix in (("tara", "tara"), ("leo", "leonard")):
        await engine.voices.create(name, VoiceAttributes("female"), text_prefix=prefix)
    made = [(await engine.voices.tokens(name, text="Hello.")).global_tokens.tolist() for name in ("tara", "leo")]
    assert made[0] != made[1]
    assert len(model.prompts) == 2


async def test_a_self_voiced_model_knows_no_gender(vocabulary: Vocabulary, tmp_path: Path) -> None:
    engine, _ = engine_of(vocabulary, tmp_path, prompt="self-voiced")
    with pytest.raises(InvalidRequest, match="gender"):
        await engine.voices.tokens("alloy", gender="male")
    tokens = await engine.voices.tokens("alloy", pitch="low")
    assert isinstance(tokens, ClonedVoiceTokens)
    assert tokens.pitch == "low"


async def test_the_language_of_a_voice_decides_how_its_texts_are_read(vocabulary: Vocabulary, tmp_path: Path) -> None:
    engine, model = engine_of(vocabulary, tmp_path)
    await engine.voices.add_tokens("tara", ClonedVoiceTokens(np.arange(32)), language="de-AT")
    await speak(engine, replace(SPEECH, text="Es sind 3."))
    text = vocabulary.text("Es sind drei.")
    assert list(model.prompts[0].ids[2 : 2 + len(text)]) == text


SPEAKER = {"global_ids": list(range(32)), "language": "hau", "gender": "male", "num_samples": 3}


@pytest.mark.parametrize(
    "content",
    [
        {"243": SPEAKER, "ada": {**SPEAKER, "language": None}},
        [{"id": 243, **SPEAKER}, {"id": "ada", **SPEAKER}],
        {
            "243": {"global_str": "".join(f"<|bicodec_global_{n}|>" for n in range(32))},
            "ada": SPEAKER,
        },
    ],
)
async def test_the_speakers_of_a_fine_tune_become_voices(
    vocabulary: Vocabulary, tmp_path: Path, content: object
) -> None:
    store = VoiceStore(Database.in_directory(tmp_path))
    voices = import_speakers(store, json.dumps(content).encode(), EngineConfig())
    assert [voice.name for voice in voices] == ["243", "ada"]
    engine, _ = engine_of(vocabulary, tmp_path)
    assert (await engine.voices.tokens("243")).global_tokens.tolist() == list(range(32))
    with pytest.raises(VoiceExists):
        import_speakers(store, json.dumps(content).encode(), EngineConfig())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "has the form"),
        ("{", "has the form"),
        ("{}", "0 speakers"),
        (json.dumps({"a": {}}), "The speaker a: global_ids: Field required"),
        (json.dumps({"a": SPEAKER, "b": {"global_ids": [1] * 31}}), "The speaker b: global_ids: .* at least 32"),
        (json.dumps({"a": {"global_ids": [4096] * 32}}), "The speaker a: global_ids.0: .* less than 4096"),
        (json.dumps({"a": {**SPEAKER, "language": "two words"}}), "not a BCP 47"),
        (json.dumps({"../a": SPEAKER}), "no slashes"),
        (json.dumps({"alloy": SPEAKER}), "already exists"),
        (json.dumps([{"id": "a", **SPEAKER}, {"id": "a", **SPEAKER}]), "already exists"),
    ],
)
def test_a_wrong_file_of_speakers_leaves_nothing_behind(tmp_path: Path, content: str, words: str) -> None:
    store = VoiceStore(Database.in_directory(tmp_path))
    with pytest.raises(EngineError, match=words):
        import_speakers(store, content.encode(), EngineConfig())
    assert store.page(None, None, 10) == []
