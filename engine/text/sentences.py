"""Splits normalized text into sentences for the model: not too long, not too short, not without words."""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise

from sentencex import segment  # type: ignore[import-untyped]

from engine.text.language import Language
from engine.text.languages import RULES_FOR
from engine.text.length import LATIN_SECONDS, cumulative_sizes, is_speakable, speech_weight
from engine.text.options import Split
from engine.text.script import CJK, is_chinese

SHORT_SECONDS = 0.6  # "Hi.", "No problem": too short to be worth a prompt, and said badly alone
NATURAL_SECONDS = 5.0
MOST_MARKS = 32  # that a cut goes past, so that a letter keeps its own
MIN_MAX_SECONDS = 1.0

_GAP = "\u200a"  # a hair space; white space is single spaces by then, so it cannot be the text's own
_SCRIPT_CHANGE = re.compile(rf"(?<=[{CJK}。！？；：，、”’」』）])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[{CJK}])")
_CLOSERS = "\"'”’」』)）\\]】》〉"
_LEADING_CLOSERS = re.compile(r"[”’」』)）\]】》〉。，！？、；：…]+\s*")
_TRAILING_OPENERS = re.compile(r"(?<=\s)[\s\"'“‘「『(（\[【《〈]+$|[“‘「『(（\[【《〈]+$")
_QUOTES = str.maketrans(dict.fromkeys('"“”‘’「」『』()（）[]【】《》〈〉', " "))
_PAUSE = rf"[,;:](?=[{_CLOSERS}]{{0,3}}(?:\s|[{CJK}]))|[，；：、…]|(?<![—–])(?>[—–]+)|(?<=\s)-(?=\s)"
_CLAUSE = re.compile(rf"(?:{_PAUSE})[{_CLOSERS}]{{0,3}}\s?")
_SPACE = re.compile(r"\s")


def split_sentences(
    text: str, *, max_seconds: float = 12.0, split: Split = "sentence", language: Language | None = None
) -> list[str]:
    """Split normalised `text` into pieces of at most `max_seconds` of speech, as `speech_weight` counts it.

    Sentences are not split unless they are too long. A long sentence is split until its parts fit: at the end of a
    sentence within quotes, at clause punctuation, at a space or anywhere, the first of these that gives balanced
    parts. `cumulative_sizes` measures texts of marks and rare characters. Short sentences are joined with the next;
    later in the text, longer sentences are joined too: only the first piece delays the audio, and long pieces sound
    better and cost less. The pieces contain every letter and digit of the text, in order. A text without letters and
    digits has no pieces. With `split` "clause", sentences are also split at their clauses, short ones joined. A
    `language` other than English and Chinese decides where sentences end.

    >>> split_sentences("Hi. Dr. Smith paid 3.5 million. “真的吗？”他问。")
    ['Hi. Dr. Smith paid 3.5 million.', '“真的吗？”他问。']
    """
    if not max_seconds >= MIN_MAX_SECONDS:
        raise ValueError(f"max_seconds is {max_seconds}; it must be at least {MIN_MAX_SECONDS}.")
    sentences = _segment(" ".join(text.split()), language)
    if split == "clause":
        sentences = [clause for sentence in sentences for clause in _clauses(sentence)]
    parts = [part for sentence in sentences for part in _divide(sentence, max_seconds)]
    return [piece.strip() for piece in _join_short(_join_silent(parts), max_seconds)]


def _segment(text: str, language: Language | None = None) -> list[str]:
    """Return the sentences of `text`. Their concatenation is `text`."""
    if language in (None, *RULES_FOR):
        language = "zh" if is_chinese(text) else "en"
    # Without a space before "Dr.", the segmenter does not detect the abbreviation after a Chinese character.
    spaced = _SCRIPT_CHANGE.sub(_GAP, text)
    pieces: list[str] = []
    for piece in segment(str(language).partition("-")[0], spaced):
        piece = piece.replace(_GAP, "")
        closing = _LEADING_CLOSERS.match(piece) if pieces else None
        if closing:
            pieces[-1] += closing[0]
            piece = piece[closing.end() :]
        if piece:
            pieces.append(piece)
    return pieces


def _clauses(sentence: str) -> list[str]:
    """Split a sentence after the punctuation of its clauses. The concatenation of the clauses is `sentence`."""
    ends = [0, *(match.end() for match in _CLAUSE.finditer(sentence)), len(sentence)]
    return [sentence[start:end] for start, end in pairwise(ends) if start < end]


def _divide(text: str, max_seconds: float) -> list[str]:
    """Split `text` until each part takes at most `max_seconds`. The concatenation of the parts is `text`."""
    before = cumulative_sizes(text)
    if before[-1] <= max_seconds:
        return [text]
    place = _cut(text, before, max_seconds)
    return [*_divide(text[:place], max_seconds), *_divide(text[place:], max_seconds)]


def _cut(text: str, before: list[float], max_seconds: float) -> int:
    """Return the best position to split `text`: near the middle, or near a third if three parts are necessary."""
    parts = math.ceil(before[-1] / max_seconds)
    target = before[-1] * (parts // 2) / parts

    def nearest(places: Iterable[int], reach: float) -> int | None:
        near = [place for place in places if abs(before[place] - target) <= reach * target]
        return min(near, key=lambda place: abs(before[place] - target), default=None)

    for places, reach in (
        (_inner_ends(text), 0.6),
        ([match.end() for match in _CLAUSE.finditer(text)], 0.6),
        ([match.end() for match in _SPACE.finditer(text)], 0.5),
    ):
        place = nearest(places, reach)
        if place is not None:
            return place
    place = bisect_left(before, target)
    last = min(len(text), place + MOST_MARKS)
    while place < last and unicodedata.category(text[place])[0] in "MC":
        place += 1
    return place


def _inner_ends(text: str) -> list[int]:
    """Return the ends of sentences inside quotes and brackets, which `segment` does not split."""
    ends, end = [], 0
    for piece in _segment(text.translate(_QUOTES)):
        end += len(piece)
        openers = _TRAILING_OPENERS.search(text[max(0, end - 8) : end])
        ends.append(end - len(openers[0]) if openers else end)
    return ends[:-1]


def _join_silent(parts: list[str]) -> list[str]:
    """Join parts without a letter or digit to the part before them, or to the first part after them."""
    joined: list[str] = []
    opening = ""
    for part in parts:
        if is_speakable(part):
            joined.append(opening + part)
            opening = ""
        elif joined:
            joined[-1] += part
        else:
            opening += part
    return joined


def _join_short(pieces: list[str], max_seconds: float) -> list[str]:
    """Join short pieces with the next one, and a short last piece with the previous one, up to half of `max_seconds`.

    The limit for short pieces grows with the duration of the text before: from SHORT_SECONDS to NATURAL_SECONDS.
    """
    joined: list[str] = []
    spoken = weight = size = 0.0  # seconds before the last joined piece; and of that piece
    for index, piece in enumerate(pieces):
        new, new_size = speech_weight(piece), cumulative_sizes(piece)[-1]
        short = max(SHORT_SECONDS, min(spoken / 4, NATURAL_SECONDS))
        ends_tiny = index == len(pieces) - 1 and new <= SHORT_SECONDS
        if joined and (weight <= short or ends_tiny) and size + new_size + LATIN_SECONDS <= max_seconds / 2:
            joined[-1] += piece
            weight, size = weight + new + LATIN_SECONDS, size + new_size + LATIN_SECONDS
            continue
        joined.append(piece)
        spoken += weight
        weight, size = new, new_size
    return joined
