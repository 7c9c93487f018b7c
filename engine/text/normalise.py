"""From what people write to what a voice can read: clean characters, one line, numbers in words."""

from __future__ import annotations

import re
import unicodedata

from engine.text.length import is_speakable
from engine.text.numbers import speak_numbers
from engine.text.script import is_chinese

_LINE_BREAK = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_BULLET = re.compile(r"^\s*+(?:(?:[-*+>•·‣▪●○–—]|#{1,6})\s++)++")
_TIMES = re.compile(r"(?<=[0-9])\*(?=[0-9])")
_SPACE_BEFORE_STOP = re.compile(r" (?=[.,!?;:]+(?: |$)|[，。！？；：、])")
_MARKUP = re.compile(r"[*`]|~~|\||\\(?![A-Za-z0-9])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_TERMINAL = tuple(".!?。！？…")
_STOPS = ".,!?;:，。！？；：、"
_PAUSE = ",;:、，；：—–-"
_CLOSERS = "\"'”’」』)）]】》〉 "

# NFKC of whole texts would also turn ，：？ into ASCII and … into dots. Only letters, numbers and signs of
# these kinds are folded; superscripts and fractions stay, for 10² is not 102.
_FOLDED = ("<wide>", "<narrow>", "<font>", "<compat>", "<circle>", "<square>")
_FULL_WIDTH = str.maketrans("％＠＆＃＊／．－＇＂＼＿−", "%@&#*/.-'\"\\_-")
_KEPT_SIGNS = frozenset("+<=>|~^`±×÷°¬∞√≤≥≠≈⁄∥")


def normalise(text: str) -> str:
    r"""Return `text` as one line that a voice can read; never raises, and drops no letter or digit.

    A line that ends without punctuation, as a heading or a list item does, gets a full stop, so that the
    sentence splitter sees its end. A single newline before a lower-case letter is taken for wrapped prose
    and becomes a space.

    >>> normalise("Prices\n\n- Tea: $3.50 ☕\n- 茶：３５元")
    'Prices. Tea: three dollars and fifty cents. 茶：三十五元'
    """
    raw = [line.translate(_FULL_WIDTH) for line in _LINE_BREAK.split(text)]
    lines = [(_clean(line), _BULLET.match(line) is not None) for line in raw]
    return unicodedata.normalize("NFC", speak_numbers(_join(lines)))


def _clean(line: str) -> str:
    line = "".join(map(_clean_character, _BULLET.sub("", line, count=1)))
    line = _MARKUP.sub(" ", _TIMES.sub("×", line))
    return unicodedata.normalize("NFC", _SPACE_BEFORE_STOP.sub("", _BULLET.sub("", " ".join(line.split()))))


def _clean_character(char: str) -> str:
    if char.isascii():
        return char if char.isprintable() or char.isspace() else ""
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


def _join(lines: list[tuple[str, bool]]) -> str:
    """One line of all, of which each is text and whether it is a list item or a heading.

    Where two lines are two sentences, the first is made to end with punctuation.
    """
    joined: list[str] = []
    blank = False
    for line, is_item in lines:
        if not is_speakable(line):
            blank = True
            continue
        if joined and (blank or is_item or not line[0].islower()) and line[0] not in _STOPS:
            joined[-1] = _ended(joined[-1], blank)
        joined.append(line)
        blank = False
    return _SPACE_BEFORE_STOP.sub("", " ".join(joined))


def _ended(line: str, blank: bool) -> str:
    core = line.rstrip(_CLOSERS)
    if core.endswith(_TERMINAL) or (core.endswith(tuple(_PAUSE)) and not blank):
        return line
    return line.rstrip(_PAUSE + " ") + ("。" if is_chinese(line) else ".")
