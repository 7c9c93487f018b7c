"""Sentences are cut down to what a model has room for, and lose nothing that is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.fitting import NoRoom, fit


def letters(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


@given(st.text(st.sampled_from("ab我，.! \u0301𠀀\u20dd'(7"), min_size=1, max_size=300), st.integers(1, 40))
def test_every_part_fits_and_every_letter_is_kept(text: str, room: int) -> None:
    parts = fit(text, lambda part: len(part) <= room)
    assert all(len(part) <= room for part in parts)
    if len(text) > room:
        assert letters("".join(parts)) == letters(text)


def test_what_fits_stays_as_it_is() -> None:
    assert fit("One, two. Three", lambda part: True) == ["One, two. Three"]


def test_a_sentence_is_cut_where_a_speaker_would_pause() -> None:
    text = "When the rain had stopped at last, the children went out to look for their ball."
    assert fit(text, lambda part: len(part) < 60) == [
        "When the rain had stopped at last,",
        "the children went out to look for their ball.",
    ]


def test_marks_without_number_are_cut_off() -> None:
    parts = fit("e" + "\u0301" * 4000, lambda part: len(part) < 100)
    assert [part[0] for part in parts] == ["e"]


def test_no_room_at_all_is_an_error() -> None:
    with pytest.raises(NoRoom):
        fit("Hello there.", lambda part: False)
