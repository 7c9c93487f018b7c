"""Cuts a sentence into parts that a language model has room for."""

from __future__ import annotations

from collections.abc import Callable

from engine.text.length import is_speakable, speech_weight
from engine.text.sentences import MIN_MAX_SECONDS, split_sentences

LARGEST_SHARE = 0.7  # of a sentence in one of its two parts: a pause is rarely in the middle


class NoRoom(ValueError):
    """Not even a single letter fits."""


def fit(sentence: str, fits: Callable[[str], bool]) -> list[str]:
    """Split `sentence` until `fits` says of each part that it does; raises NoRoom if a single letter does not.

    Most of what is too long is so because of what surrounds it, a long sample or a small context, and is cut where a
    speaker would pause. What is short to say and yet has many tokens, such as a letter below thousands of accents, is
    halved, and of that only the parts with something to say are kept.
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
