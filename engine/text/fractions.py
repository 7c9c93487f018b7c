"""Fractions, mixed numbers, and pairs with a slash that are not fractions."""

from __future__ import annotations

import re
import unicodedata

from engine.text import chinese, english, units
from engine.text.numerals import START, is_minus
from engine.text.rules import Place, rule

_SPOKEN_AS_PAIRS = {
    ("24", "7"),
    ("9", "11"),
    ("50", "50"),
    ("20", "20"),
    ("80", "20"),
    ("60", "40"),
    ("70", "30"),
    ("7", "24"),
}
_RATED = re.compile(
    r"(?i:\b(?:rated|rating|score[ds]?|graded?|ranked|pain)\b(?:[ ](?:of|at|it|is|was|a|an"
    r"|them|as|him|her|us))*[ ]|评分[：:]?\s?|得分[：:]?\s?|打分[：:]?\s?)\Z"
)
_COUNTED = re.compile(r"(?i:\b(?:page|slide|step|part|chapter|episode|day|round|level|task|question|test)s?[ ]|第)\Z")
_VULGAR = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_UNIT = rf"(?:[ -]?(?P<unit>{units.UNIT}))?"


def _parts(written: str) -> tuple[str, str]:
    top, bottom = re.split("[/⁄]", unicodedata.normalize("NFKC", written))
    return top, bottom


def _spoken(whole: str | None, top: str, bottom: str, place: Place) -> str:
    return place.say.mixed(whole, top, bottom) if whole else place.say.fraction(top, bottom)


def _with_unit(spoken: str, whole: str | None, unit: str | None, place: Place) -> str:
    if not unit:
        return spoken
    name = units.name(unit, in_chinese=place.chinese, one=not whole)
    if place.chinese:
        return spoken + name
    if not whole:
        spoken = "half" if spoken == "one half" else f"{spoken} of"
        return f"{spoken} {'an' if name[0] in 'aeiou' else 'a'} {name}"
    return f"{spoken} {name}"


@rule("fraction", rf"{START}(?:(?P<whole>[0-9]{{1,6}})[ ]?)?(?P<vulgar>[{_VULGAR}]){_UNIT}")
def vulgar(match: re.Match[str], place: Place) -> str:
    """½, 2½."""
    spoken = _spoken(match["whole"], *_parts(match["vulgar"]), place)
    return _with_unit(spoken, match["whole"], match["unit"], place)


@rule(
    "fraction",
    rf"(?P<minus>-)?{START}(?:(?P<whole>[0-9]{{1,6}})(?:[ ]"
    rf"|又)(?:and[ ])?)?(?P<top>[0-9]{{1,6}})[/⁄](?P<bottom>[0-9]{{1,6}})(?i:ths?|rds?|nds?"
    rf"|st)?(?![0-9/⁄]|[.][0-9]){_UNIT}(?![A-Za-z])",
)
def fraction(match: re.Match[str], place: Place) -> str | None:
    """1/2, 2 1/2, 4 1/2 lbs; but 24/7, 8/10 as a score and 120/80 are read differently."""
    if match["minus"]:
        if not is_minus(place):
            return None
        spoken = _spoken(match["whole"], match["top"], match["bottom"], place)
        return place.say.minus(_with_unit(spoken, match["whole"], match["unit"], place))
    whole, top, bottom = match["whole"], match["top"], match["bottom"]
    if top.startswith("0") or bottom.startswith("0") or int(bottom) < 2:
        return _pair(match, place)
    if whole:
        return _with_unit(_spoken(whole, top, bottom, place), whole, match["unit"], place)
    if (top, bottom) in _SPOKEN_AS_PAIRS or re.match(r"[ ]?(?:mmHg|vision)", place.after):
        return _pair(match, place)
    stars = re.match(r"[ ](?:stars?|points?|marks?)\b", place.after)
    if not place.chinese and (stars or _RATED.search(place.before)):
        return f"{english.cardinal(top)} out of {english.cardinal(bottom)}"
    if not place.chinese and _COUNTED.search(place.before):
        return f"{english.cardinal(top)} of {english.cardinal(bottom)}"
    if int(top) > int(bottom) >= 20 and not place.chinese:
        return f"{english.cardinal(top)} over {english.cardinal(bottom)}"
    return _with_unit(place.say.fraction(top, bottom), None, match["unit"], place)


def _pair(match: re.Match[str], place: Place) -> str | None:
    if match["whole"] or match["unit"]:
        return None
    top, bottom = match["top"], match["bottom"]
    if place.chinese:
        return chinese.cardinal(top) + ("" if (top, bottom) in _SPOKEN_AS_PAIRS else "比") + chinese.cardinal(bottom)
    words = [english.cardinal(part) if not part.startswith("0") else english.digits(part) for part in (top, bottom)]
    return (" " if (top, bottom) in _SPOKEN_AS_PAIRS else " over ").join(words)


@rule("fraction", r"(?P<bottom>[0-9]{1,9})[ ]?分之[ ]?(?P<top>[0-9]{1,9})(?:\.(?P<rest>[0-9]+))?")
def in_words(match: re.Match[str], place: Place) -> str:
    """5分之1."""
    top = match["top"] + (f".{match['rest']}" if match["rest"] else "")
    return chinese.fraction(top, match["bottom"])
