"""Texts as trees: nothing is lost, spans cover the text, order is kept, in every input format."""

import string
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidRequest
from engine.script.format import Format
from engine.script.reading import Utterance, read_script, utterances
from engine.script.tree import Pause, Script, Speech
from engine.text import TextOptions

WORDS = st.lists(
    st.sampled_from(["Hello", "there", "the cat", "sat.", "Why?", "今天很好。", "真的？", "we,", "4", "\n", "\n\n"]),
    min_size=1,
    max_size=60,
).map(" ".join)
PAUSES = st.sampled_from(["[pause:1s]", "[pause:0.25s]", "[PAUSE:300ms]"])


def script(text: str, kind: str = "text", **voices: str) -> Script:
    return read_script(text, Format(kind, voices), None, 0.3)  # type: ignore[arg-type]


def letters(text: str) -> str:
    return "".join(char for char in text if char.isalpha())


@given(st.lists(st.one_of(WORDS, PAUSES), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_plain_text_is_covered_by_its_pieces_in_order(parts: list[str]) -> None:
    text = " ".join(parts)
    pieces = script(text).pieces
    assert "".join(text[slice(*piece.span)] for piece in pieces) == text
    assert len([piece for piece in pieces if isinstance(piece, Pause)]) == text.lower().count("[pause")


@given(WORDS)
@settings(max_examples=100, deadline=None)
def test_sentences_keep_their_place_through_normalisation_and_splitting(text: str) -> None:
    units = list(utterances(script(text).pieces, TextOptions()))
    spans = [unit.sentence.traced.span for unit in units if isinstance(unit, Utterance)]
    assert spans == sorted(spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert letters("".join(text[slice(*span)] for span in spans)) == letters(text)


def test_a_sentence_names_what_was_written() -> None:
    text = "It costs $3.50 in **May**. [pause:1s] Dr. Smith paid 20%."
    written = [
        unit.speech.words.within(unit.sentence.traced.span)
        for unit in utterances(script(text).pieces, TextOptions())
        if isinstance(unit, Utterance)
    ]
    assert written == ["It costs $3.50 in **May**.", "Dr. Smith paid 20%."]


@pytest.mark.parametrize("pause", ["[pause:31s]", "[pause:30.5s]", "[pause:30001ms]", "[pause:999999999s]"])
def test_a_pause_has_a_longest_time(pause: str) -> None:
    with pytest.raises(InvalidRequest, match="the longest is 30 s"):
        script(f"Hello. {pause}")


def test_all_pauses_together_have_a_longest_time() -> None:
    with pytest.raises(InvalidRequest, match="at most 300 s"):
        script("[pause:30s]" * 11)


@pytest.mark.parametrize("text", ["[pause:s]", "[pause: 1s]", "[pause:1]", "[pause]", "[pause:-1s]", "[pause:1e3s]"])
def test_what_is_no_pause_is_text(text: str) -> None:
    assert [type(piece) for piece in script(text).pieces] == [Speech]


def said(text: str, kind: str, **voices: str) -> list[tuple[str | None, str] | float]:
    return [
        piece.seconds if isinstance(piece, Pause) else (piece.voice, piece.text.strip())
        for piece in script(text, kind, **voices).pieces
        if isinstance(piece, Pause) or piece.text.strip()
    ]


def test_a_dialogue_has_a_voice_for_each_speaker_and_a_pause_between_them() -> None:
    text = "It was late.\nANN: Is it 10:30?\nI think so.\nBob Smith： 是的[pause:1s]好。\nBob Smith: Again: yes."
    assert said(text, "dialogue", ANN="alloy", **{"Bob Smith": "echo"}) == [
        (None, "It was late."),
        0.3,
        ("alloy", "Is it 10:30?\nI think so."),
        0.3,
        ("echo", "是的"),
        1.0,
        ("echo", "好。"),
        ("echo", "Again: yes."),
    ]


def test_without_voices_the_names_are_those_of_voices() -> None:
    assert said("alloy: Hi.\nnova: Hi!", "dialogue") == [("alloy", "Hi."), 0.3, ("nova", "Hi!")]


@pytest.mark.parametrize("name", ["Dr. Who", "3PO", "R2-D2", "“Ann”", "Ann (aside)", "Is it Bob?", "王小明", "a+b*"])
@pytest.mark.parametrize("colon", [":", ": ", " : ", "：", ":“"])
def test_a_name_with_a_voice_is_known_whatever_is_in_it(name: str, colon: str) -> None:
    text = f"Ann{colon}It is 10:30.\n{name}{colon}It is 11.\n"
    voices = {"Ann": "alloy", "Dr": "nova", name: "echo"}
    assert [(voice, words.lstrip("“")) for voice, words in said(text, "dialogue", **voices)[::2]] == [  # type: ignore[misc]
        ("alloy", "It is 10:30."),
        ("echo", "It is 11."),
    ]


def test_chinese_has_no_space_behind_a_colon() -> None:
    assert said("小明:你好。\n小红:“你好！”\n10:30\nhttp://x.y", "dialogue") == [
        ("小明", "你好。"),
        0.3,
        ("小红", "“你好！”\n10:30\nhttp://x.y"),
    ]


def test_roles_of_flashtts_are_read() -> None:
    text = "<role:Ann>Hi. <role:male>Hello there."
    assert said(text, "dialogue", Ann="nova") == [("nova", "Hi."), 0.3, ("male", "Hello there.")]


def test_a_speaker_without_a_voice_is_named_with_its_line() -> None:
    with pytest.raises(
        InvalidRequest, match=r"Line 3 is said by 'Eve', who has no voice; `voices` has 'Ann'"
    ) as caught:
        script("Ann: Hi.\n\nEve: Hello.", "dialogue", Ann="nova")
    assert caught.value.param == "voices"


@given(st.lists(st.tuples(st.sampled_from(["Ann", "Bob"]), WORDS), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_nothing_of_a_dialogue_is_lost(turns: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{name}: {words}" for name, words in turns)
    pieces = [p for p in script(text, "dialogue", Ann="a", Bob="b").pieces if isinstance(p, Speech)]
    assert letters("".join(piece.text for piece in pieces)) == letters("".join(words for _, words in turns))
    assert all(text[slice(*piece.span)] == piece.text for piece in pieces)


@given(st.text(string.printable + "今天：。<>[]", max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_refused_in_every_format(text: str) -> None:
    for kind in ("text", "dialogue", "ssml"):
        with suppress(InvalidRequest):
            list(utterances(script(text, kind).pieces, TextOptions()))
