"""Splits a sentence into parts that fit into the language model's context."""

from __future__ import annotations

from collections.abc import Callable

from engine.text.length import is_speakable, speech_weight
from engine.text.sentences import MIN_MAX_SECONDS, split_sentences

LARGEST_SHARE = 0.7  # of a sentence in one of its two parts: a pause is rarely in the middle


class NoRoom(ValueError):
    """A single letter does not fit."""


def fit(sentence: str, fits: Callable[[str], bool]) -> list[str]:
    """Split `sentence` until `fits` is true for each part; raises NoRoom if a single letter does not fit.

    Usually the reason is a long sample or a small context; the sentence is then split where a speaker would pause.
    Text that is short but has many tokens, such as a letter with thousands of accents, is halved, and parts without
    words are removed.
    """
    if fits(sentence):
        return [sentence]
    if len(sentence) == 1:
        raise NoRoom(f"there is no room for {sentence!r}")
    most = LARGEST_SHARE * speech_weight(sentence)
    if most >= MIN_MAX_SECONDS:
        parts = split_sentences(sentence, max_seconds=most)
    else:
        middle = len(sentence) // 2
        space = sentence.find(" ", middle)
        cut = space if space > 0 else middle
        parts = [part for part in (sentence[:cut], sentence[cut:].strip()) if is_speakable(part)]
    return [piece for part in parts for piece in fit(part, fits)]
