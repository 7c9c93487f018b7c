"""Normalizes characters: no controls or lone surrogates, one form of each letter, a limited number of marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from engine.text.draft import Draft, Edit
from engine.text.length import is_speakable

LONGEST_SILENCE = 32  # signs in a row, which have no sound but take of a model's context
MOST_MARKS = 8  # on one letter; Vietnamese needs two, pointed Hebrew four

# NFKC of whole texts would also turn ，：？ into ASCII and … into dots. Only letters, numbers and signs of
# these kinds are folded; superscripts and fractions stay, for 10² is not 102.
_FOLDED = ("<wide>", "<narrow>", "<font>", "<compat>", "<circle>", "<square>")
_FULL_WIDTH = str.maketrans("％＠＆＃＊／．－＇＂＼＿−﹣", "%@&#*/.-'\"\\_--")
_KEPT_SIGNS = frozenset("+<=>|~^`±×÷°¬∞√≤≥≠≈⁄∥⁺⁻₊₋")
_NOT_ASCII = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")
_MANY_MARKS = re.compile(rf"[^\x00-\u02ff]{{{MOST_MARKS + 1},}}")
_LONG_SILENCE = re.compile(rf"[^\w\s](?:\s?[^\w\s]){{{LONGEST_SILENCE},}}")
_UNUSUAL = re.compile(r"[^\n -~\u4e00-\u9fff，。！？；：、“”‘’（）《》…—–°]")
_LONE = re.compile("[\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def mend(draft: Draft) -> None:
    """Apply the steps that every text needs, even without normalization: valid characters, each with few marks."""
    draft.substitute(_LONE, "", "characters")
    draft.apply(_composed(draft.text))
    draft.apply(_bounded(draft.text))


def fold(draft: Draft) -> None:
    """Convert each character to one plain form, and line ends to newlines."""
    draft.substitute(_LINE_BREAK, "\n")
    draft.apply(Edit(*match.span(), _plain(match[0]), "characters") for match in _UNUSUAL.finditer(draft.text))
    draft.apply(_composed(draft.text))


def shorten_silence(draft: Draft) -> None:
    """Limit the number of consecutive signs."""
    draft.substitute(_LONG_SILENCE, lambda match: match[0][:LONGEST_SILENCE], "characters")


def _composed(text: str) -> Iterator[Edit]:
    """Apply canonical composition (NFC). Nothing composes with a character before an ASCII character."""
    if not unicodedata.is_normalized("NFC", text):
        for match in _NOT_ASCII.finditer(text):
            yield Edit(*match.span(), unicodedata.normalize("NFC", match[0]))


def _bounded(text: str) -> Iterator[Edit]:
    for match in _MANY_MARKS.finditer(text):
        kept, count = [], 0
        for char in match[0]:
            count = count + 1 if unicodedata.category(char)[0] == "M" else 0
            if count <= MOST_MARKS:
                kept.append(char)
        yield Edit(*match.span(), "".join(kept), "characters")


@lru_cache(maxsize=8192)
def _plain(char: str) -> str:
    char = "No." if char == "№" else char.translate(_FULL_WIDTH)
    if char.isascii():
        return char if len(char) > 1 or char.isprintable() or char.isspace() else ""
    category = unicodedata.category(char)
    if category[0] in "LNS" and unicodedata.decomposition(char).partition(" ")[0] in _FOLDED:
        folded = unicodedata.normalize("NFKC", char)
        if category[0] != "S" or is_speakable(folded) or category == "Sc" or folded.isascii():
            return folded
    if category in ("So", "Sk", "Sm"):
        return char if char in _KEPT_SIGNS else " "
    # Controls, joiners, directions, surrogates, private and unassigned; selectors and key caps of emoji.
    if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Me") or "\ufe00" <= char <= "\ufe0f" or char > "\U000e00ff":
        return " " if char.isspace() else ""
    return char
