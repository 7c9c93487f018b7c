"""What is spoken, sentence by sentence, and what was changed for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.text import Change, TextOptions, normalise, split_sentences, spoken_sentences, units

_FRAGMENTS = (
    "1 23 2024 , . - : / $ € % °C km /h ² + = ( ) # @ * _ May Jan. p.m. No. St. IV Henry 年 月 第 个 元 比分 验证码 "
    "https:// a.com ½ ⁻³ ₂ <think> </think> <b> [a](b) ``` | &amp; ` 😀 \u0301 e million th x ' ~ to \\("
)
FRAGMENTS = st.sampled_from([*_FRAGMENTS.split(" "), " ", "\n", '"'])


def test_changes_are_told_with_their_rules_in_their_sentences() -> None:
    first, second, third = spoken_sentences("It was $5 on May 3, 2021. Nothing here changes. See example.com **now**.")
    assert first.text == "It was five dollars on May third, twenty twenty-one."
    assert first.changes == (
        Change("money", "$5", "five dollars"),
        Change("date", "May 3, 2021", "May third, twenty twenty-one"),
    )
    assert second.changes == ()
    assert third.changes == (Change("address", "example.com", "example dot com"),)


def test_what_is_left_out_is_told_too() -> None:
    [sentence] = spoken_sentences("<think>hm</think>Good morning to you 🎉.")
    assert [(change.rule, change.spoken) for change in sentence.changes] == [("thought", ""), ("characters", "")]


def test_a_later_rule_moves_what_an_earlier_one_did() -> None:
    [sentence] = spoken_sentences("In 1999 at www.example.com we paid 20% of $5.")
    assert [(change.written, change.spoken) for change in sentence.changes] == [
        ("1999", "nineteen ninety-nine"),
        ("www.example.com", "W W W dot example dot com"),
        ("20%", "twenty percent"),
        ("$5", "five dollars"),
    ]


@pytest.mark.parametrize("text", ["", "...", "—", "🎉", "<think>a</think>"])
def test_nothing_to_say_is_no_sentence(text: str) -> None:
    assert spoken_sentences(text) == []


@given(st.lists(FRAGMENTS, max_size=40).map("".join), st.sampled_from(["en", "zh", None]))
def test_any_text_is_read_and_every_change_stands_in_its_sentence(text: str, language: str | None) -> None:
    options = TextOptions(language=language, emoji="name")  # type: ignore[arg-type]
    sentences = spoken_sentences(text, options)
    assert [sentence.text for sentence in sentences] == split_sentences(normalise(text, options))
    assert all(change.written != change.spoken for sentence in sentences for change in sentence.changes)


@pytest.mark.timeout(120)
@settings(max_examples=40, deadline=None)
@given(st.lists(FRAGMENTS, min_size=1, max_size=8).map("".join))
def test_no_repetition_takes_more_than_linear_time(unit: str) -> None:
    text = (unit * 32768)[:32768]
    assert len(normalise(text)) <= 40 * len(text) + 1


@pytest.mark.parametrize("unit", list(units._TABLE))
@pytest.mark.parametrize("chinese", [True, False])
def test_every_unit_has_names(unit: str, chinese: bool) -> None:
    names = [units.name(unit, in_chinese=chinese, one=one) for one in (True, False)]
    assert all(names) or unit in "%‰"
    for per in ("h", "s", "day", "person", "kg", "m³", "s²", "L"):
        if unit not in "%‰":
            assert units.name(f"{unit}/{per}", in_chinese=chinese, one=False)
