"""The three prompt forms, token by token."""

import numpy as np
import pytest

from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import ClonedVoiceTokens, CreatedVoiceTokens, OutputGrammar, Prompt, VoiceAttributes

GLOBALS = np.arange(32) * 3


def names(vocabulary: Vocabulary, *parts: str) -> list[int]:
    """Ids of control tokens by name, and of text in double quotes."""
    ids: list[int] = []
    for part in parts:
        ids += vocabulary.text(part[1:-1]) if part.startswith('"') else [vocabulary.id(f"<|{part}|>")]
    return ids


def global_names() -> list[str]:
    return [f"bicodec_global_{token}" for token in GLOBALS]


def test_a_cloned_voice(vocabulary: Vocabulary) -> None:
    prompt = Prompts(vocabulary).speak("Hello.", ClonedVoiceTokens(GLOBALS, np.array([5, 6, 7])))
    expected = names(
        vocabulary,
        *("task_tts", "start_content", '"Hello."', "end_content"),
        *("start_global_token", *global_names(), "end_global_token", "start_semantic_token"),
    )
    assert prompt == Prompt(tuple(expected), OutputGrammar.SPEECH)


def test_a_cloned_voice_with_the_transcript_of_its_sample(vocabulary: Vocabulary) -> None:
    voice = ClonedVoiceTokens(GLOBALS, np.array([5, 6, 7]), "A sample.")
    prompt = Prompts(vocabulary).speak("Hello.", voice)
    expected = names(
        vocabulary,
        *("task_tts", "start_content", '"A sample. Hello."', "end_content"),
        *("start_global_token", *global_names(), "end_global_token", "start_semantic_token"),
        *("bicodec_semantic_5", "bicodec_semantic_6", "bicodec_semantic_7"),
    )
    assert prompt == Prompt(tuple(expected), OutputGrammar.SPEECH)


def test_a_voice_to_be_created(vocabulary: Vocabulary) -> None:
    prompt = Prompts(vocabulary).create_voice("Hello.", VoiceAttributes("male", "very_high", "low"))
    expected = names(
        vocabulary,
        *("task_controllable_tts", "start_content", '"Hello."', "end_content"),
        *("start_style_label", "gender_1", "pitch_label_4", "speed_label_1", "end_style_label"),
    )
    assert prompt == Prompt(tuple(expected), OutputGrammar.VOICE_AND_SPEECH)


def test_a_created_voice_that_speaks_again(vocabulary: Vocabulary) -> None:
    acoustic = tuple(names(vocabulary, "start_acoustic_token", "pitch_value_80", "end_acoustic_token"))
    voice = CreatedVoiceTokens(GLOBALS, VoiceAttributes("female"), acoustic)
    prompt = Prompts(vocabulary).speak("Hello.", voice)
    expected = names(
        vocabulary,
        *("task_controllable_tts", "start_content", '"Hello."', "end_content"),
        *("start_style_label", "gender_0", "pitch_label_2", "speed_label_2", "end_style_label"),
        *("start_acoustic_token", "pitch_value_80", "end_acoustic_token"),
        *("start_global_token", *global_names(), "end_global_token", "start_semantic_token"),
    )
    assert prompt == Prompt(tuple(expected), OutputGrammar.SPEECH)


@pytest.mark.parametrize(
    ("transcript", "text", "joined"),
    [
        ("One.", "Two.", "One. Two."),
        (" One. ", "Two.", "One. Two."),
        ("一。", "二", "一。二"),
        ("一。", "Two", "一。Two"),
    ],
)
def test_a_transcript_is_joined_as_its_script_wants(
    vocabulary: Vocabulary, transcript: str, text: str, joined: str
) -> None:
    voice = ClonedVoiceTokens(GLOBALS, np.array([1]), transcript)
    prompt = Prompts(vocabulary).speak(text, voice)
    start = names(vocabulary, "task_tts", "start_content")
    assert list(prompt.ids[2 : 2 + len(vocabulary.text(joined)) + 1]) == names(vocabulary, f'"{joined}"', "end_content")
    assert list(prompt.ids[:2]) == start


def test_a_voice_without_32_globals_is_refused() -> None:
    for wrong in (np.arange(31), np.zeros((1, 32), np.int64)):
        with pytest.raises(ValueError, match="32 global tokens"):
            ClonedVoiceTokens(wrong)
        with pytest.raises(ValueError, match="32 global tokens"):
            CreatedVoiceTokens(wrong, VoiceAttributes("female"), ())


def test_a_cloned_voice_in_another_manner(vocabulary: Vocabulary) -> None:
    prompt = Prompts(vocabulary).speak("Hello.", ClonedVoiceTokens(GLOBALS, pitch="very_high"))
    expected = names(
        vocabulary,
        *("task_tts", "start_content", '"Hello."', "end_content"),
        *("start_style_label", "pitch_label_4", "speed_label_2", "end_style_label"),
        *("start_global_token", *global_names(), "end_global_token", "start_semantic_token"),
    )
    assert prompt == Prompt(tuple(expected), OutputGrammar.SPEECH)


def test_the_name_of_the_speaker_comes_before_all_that_is_said(vocabulary: Vocabulary) -> None:
    voice = ClonedVoiceTokens(GLOBALS, np.array([5]), "A sample.", text_prefix="243")
    said = names(vocabulary, "task_tts", "start_content", '"243: A sample. Hello."', "end_content")
    assert Prompts(vocabulary).speak("Hello.", voice).ids[: len(said)] == tuple(said)


def test_a_self_voiced_model_writes_a_voice_and_then_speaks_in_it(vocabulary: Vocabulary) -> None:
    prompts = Prompts(vocabulary, "self-voiced")
    content = ("task_tts", "start_content", '"tara: Hello."', "end_content", "start_global_token")
    own = prompts.own_voice("Hello.", "tara")
    assert own == Prompt(tuple(names(vocabulary, *content)), OutputGrammar.OWN_VOICE_AND_SPEECH)
    known = prompts.speak("Hello.", ClonedVoiceTokens(GLOBALS, text_prefix="tara"))
    expected = names(vocabulary, *content, *global_names())
    assert known == Prompt(tuple(expected), OutputGrammar.AFTER_VOICE)
