import doctest
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.text
from engine.text import (
    TextOptions,
    is_speakable,
    length,
    max_semantic_tokens,
    normalise,
    script,
    sentences,
    split_sentences,
    spoken_sentences,
)
from engine.text.length import speech_weight

CASES = {
    "": [],
    "?! ... “”": [],
    "Hi.": ["Hi."],
    "Hello world": ["Hello world"],
    "The cat sat down. The dog ran off.": ["The cat sat down.", "The dog ran off."],
    "Dr. Smith came in. He sat down.": ["Dr. Smith came in.", "He sat down."],
    "The U.S. Supreme Court ruled. It was late.": ["The U.S. Supreme Court ruled.", "It was late."],
    "Some fruit, e.g. this one, is good. Eat it now.": ["Some fruit, e.g. this one, is good.", "Eat it now."],
    "Version 3.5 is here. We like it.": ["Version 3.5 is here.", "We like it."],
    "He said “Stop it now.” Then he left.": ["He said “Stop it now.”", "Then he left."],
    '"Where are you?" She was gone.': ['"Where are you?"', "She was gone."],
    "Hi. How are you doing today?": ["Hi. How are you doing today?"],
    "Yes. No. Hi. How are you doing today?": ["Yes. No. Hi. How are you doing today?"],
    "How are you doing today? Ok.": ["How are you doing today? Ok."],
    "At 5 AM Mr. Hill went out. He came back at 6 PM. Mr. Hill then slept.": [
        "At 5 AM Mr. Hill went out.",
        "He came back at 6 PM.",
        "Mr. Hill then slept.",
    ],
    "What on earth?! That is odd... Is it not so?": ["What on earth?!", "That is odd...", "Is it not so?"],
    "今天天气很好。我们去玩吧！你说呢？": ["今天天气很好。", "我们去玩吧！", "你说呢？"],
    "好。我们去玩吧！": ["好。我们去玩吧！"],
    "他说：“今天很好。”然后他走了。": ["他说：“今天很好。”", "然后他走了。"],
    "『你好。』他说。「好！」她说。": ["『你好。』他说。", "「好！」她说。"],
    "真的是这样吗？！我不相信。": ["真的是这样吗？！", "我不相信。"],
    "我认识Dr. Smith。他今天很忙。": ["我认识Dr. Smith。", "他今天很忙。"],
    "今天天气很好。Dr. Smith came. 我们走吧！": ["今天天气很好。", "Dr. Smith came.", "我们走吧！"],
    "I like 北京烤鸭. 它很好吃。It is great.": ["I like 北京烤鸭.", "它很好吃。", "It is great."],
    "— Hello — there!": ["— Hello — there!"],
    "We all left the house. — — —": ["We all left the house. — — —"],
    "We all left the house. ?! Then it rained.": ["We all left the house. ?!", "Then it rained."],
    "... Hello there you.": ["... Hello there you."],
}
LONG_ENGLISH = (
    "When the long winter had finally ended and the snow had melted from the hills, the villagers came out of "
    "their houses, looked at the sky, and decided, after much discussion, that it was time to plant the seeds."
)
LONG_CHINESE = (
    "在一个阳光明媚的早晨，小明背着书包走在上学的路上，他一边走一边想着昨天晚上妈妈给他讲的故事，"
    "故事里有一只聪明的小狐狸，它总是能想出各种各样的办法来解决问题。"
)
SPEAKABLE = st.text(
    alphabet=st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("aA1 é字好，。！？、；：“”‘’「」…—.,;:!?'\"()[]-\u0301\u200a\n"),
    ),
    max_size=300,
)


def characters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


@pytest.mark.parametrize(("text", "pieces"), CASES.items())
def test_text_is_split_into_sentences(text: str, pieces: list[str]) -> None:
    assert split_sentences(text) == pieces


def test_a_line_that_normalisation_ended_is_a_sentence() -> None:
    assert split_sentences(normalise("The first heading\n\nSome text that follows.")) == [
        "The first heading.",
        "Some text that follows.",
    ]


@pytest.mark.parametrize(("text", "stops"), [(LONG_ENGLISH, ",."), (LONG_CHINESE, "，。")])
def test_a_long_sentence_is_cut_at_clauses_into_balanced_parts(text: str, stops: str) -> None:
    pieces = split_sentences(text)
    assert len(pieces) > 1
    assert all(piece[-1] in stops for piece in pieces)
    weights = [speech_weight(piece) for piece in pieces]
    assert max(weights) <= 12
    assert max(weights) <= 3 * min(weights)


def test_a_long_quotation_is_cut_between_its_sentences() -> None:
    text = "He said, “" + "They all stood in the rain without Dr. Smith. " * 6 + "Then we left.”"
    pieces = split_sentences(text)
    assert len(pieces) > 1
    assert all(piece.endswith((" Smith.", "left.”")) for piece in pieces)


def test_without_clauses_the_cut_is_at_spaces_and_without_spaces_anywhere() -> None:
    assert set(" ".join(split_sentences("word " * 100)).split()) == {"word"}
    assert [len(piece) for piece in split_sentences("a" * 300, max_seconds=10)] == [150, 150]
    assert all(20 <= len(piece) <= 54 for piece in split_sentences("大" * 200))


def test_a_cut_leaves_a_letter_its_marks() -> None:
    pieces = split_sentences("x\u0301\u0302" * 600)
    assert len(pieces) > 1
    assert all(piece.startswith("x") and piece.endswith("\u0302") for piece in pieces)


@pytest.mark.parametrize(
    "text",
    [
        "e" + "\u0301" * 4000,
        "\U00010400" * 2000,
        "𠀀" * 2000,
        "." * 4000 + "a",
        "?! " * 1000 + "a",
        "नि" * 1000,
        "👍" * 2000 + "a",
    ],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_no_sentence_outgrows_the_context_of_a_model(text: str, normalize: bool) -> None:
    sentences = spoken_sentences(text, TextOptions(normalize=normalize))
    assert sentences
    assert max(len(sentence.text.encode()) for sentence in sentences) <= 12 * length.BYTES_PER_SECOND + 40


def test_many_short_sentences_become_few_pieces_and_the_first_stays_short() -> None:
    for unit, seconds in (("好。", 0.3), ("我去。", 0.5), ("I go. ", 0.5)):
        pieces = split_sentences(unit * 1000)
        assert len(pieces) < 1000 * seconds / 2
        assert speech_weight(pieces[0]) < 1.5
        assert max(map(speech_weight, pieces)) <= 6


def test_a_few_sentences_stay_apart() -> None:
    text = "The cat sat on the mat. The dog ran off. They all went home."
    assert len(split_sentences(text)) == 3


def test_pieces_are_only_as_long_as_asked() -> None:
    text = LONG_ENGLISH + LONG_CHINESE
    assert len(split_sentences(text, max_seconds=4)) > len(split_sentences(text, max_seconds=8))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_limit_shorter_than_a_second_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="max_seconds"):
        split_sentences("Hello.", max_seconds=seconds)


@given(SPEAKABLE, st.sampled_from([1.0, 2.5, 12.0]))
def test_pieces_hold_all_that_can_be_said_within_the_limit(text: str, seconds: float) -> None:
    pieces = split_sentences(text, max_seconds=seconds)
    assert characters("".join(pieces)) == characters(text)
    for piece in pieces:
        assert is_speakable(piece)
        assert piece == piece.strip()
        assert speech_weight(piece) <= seconds + 1e-9


@given(SPEAKABLE)
def test_only_white_space_is_lost_from_speakable_text(text: str) -> None:
    if is_speakable(text):
        assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", ["a", "。", "a. ", "“a. ", "，", "a\u0301", ". ", "大,", "Dr. ", "(a."])
def test_hostile_text_is_split_in_time(unit: str) -> None:
    text = (unit * 16384)[:16384]
    assert characters("".join(split_sentences(text))) == characters(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("a" * 15, 1.0),
        ("大" * 9, 2.0),
        ("12", 2 / 4.5),
        ("", 0.0),
        ("...！", 0.0),
        ("a ...  b", 3 / 15),
        ("e\u0301", 1 / 15),
    ],
)
def test_weight_is_seconds_of_speech(text: str, seconds: float) -> None:
    assert speech_weight(text) == pytest.approx(seconds)


def test_the_bound_on_tokens_is_generous_and_grows_with_the_text() -> None:
    assert max_semantic_tokens("") == 50
    assert max_semantic_tokens("a" * 30) == 300
    assert max_semantic_tokens("大" * 90) == 50 + 2500
    assert max_semantic_tokens("a" * 31) == 309


@pytest.mark.parametrize(
    ("text", "speakable"), [("a", True), ("字", True), ("٣", True), ("Ж", True), ("?!…", False), ("", False)]
)
def test_letters_and_digits_of_any_script_are_speakable(text: str, speakable: bool) -> None:
    assert is_speakable(text) is speakable


@pytest.mark.parametrize("module", [engine.text, length, script, sentences, sys.modules["engine.text.normalise"]])
def test_examples_hold(module: types.ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
