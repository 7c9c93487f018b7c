"""Mathematical and other signs next to numbers and letters, powers, and signs that stand for words."""

from __future__ import annotations

import re

from engine.text.numerals import AMOUNT, count
from engine.text.rules import Place, rule

_WORDS = {
    "+": ("plus", "加"),
    "=": ("equals", "等于"),
    "×": ("times", "乘"),
    "*": ("times", "乘"),
    "÷": ("divided by", "除以"),
    "<": ("is less than", "小于"),
    ">": ("is greater than", "大于"),
    "≤": ("is less than or equal to", "小于等于"),
    "≥": ("is greater than or equal to", "大于等于"),
    "<=": ("is less than or equal to", "小于等于"),
    ">=": ("is greater than or equal to", "大于等于"),
    "≠": ("is not equal to", "不等于"),
    "!=": ("is not equal to", "不等于"),
    "≈": ("is approximately", "约等于"),
    "±": ("plus or minus", "正负"),
    "√": ("the square root of", "根号"),
    "~": ("about", "约"),
    "-": ("minus", "减"),
    "/": ("divided by", "除以"),
    "−": ("minus", "减"),
}
_ALONE = {
    "≥": "at least",
    ">=": "at least",
    "≤": "at most",
    "<=": "at most",
    ">": "more than",
    "<": "less than",
    "≈": "approximately",
}
_NUMBER_BEFORE = re.compile(r"[0-9)\]²³%]\Z")
_VARIABLE_BEFORE = re.compile(r"(?:\A|[^A-Za-z])[A-Za-zα-ω][²³]?\Z")
_NUMBER_AFTER = re.compile(r"[-+.$€£¥]?[0-9]")
_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_SUB = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-")


@rule("sign", r"<+3+(?![0-9.])")
def heart(match: re.Match[str], place: Place) -> str | None:
    """I <3 you: a heart, not changed."""
    return None if _NUMBER_BEFORE.search(place.before) else match[0]


@rule(
    "sign",
    r"(?P<left>[ ]?)(?P<sign><=|>=|!=|[=×÷<>≤≥≠≈±√~+*/-])(?P<right>[ ]?)(?=[-+.]?[0-9]"
    r"|[A-Za-z(√$€£¥αβγπ]|[一二三四五六七八九十百])",
)
def operator(match: re.Match[str], place: Place) -> str | None:
    """2+3, x = 5, ≥100; between words without a number the sign is not changed: a < b."""
    sign, before, after = match["sign"], place.before, place.after
    if sign == "+" and "+" in before[-1:] + after[:1]:  # C++
        return None
    number_before, number_after = _NUMBER_BEFORE.search(before), _NUMBER_AFTER.match(after)
    joined = (
        re.search(r"\w\Z", before)
        if not place.chinese
        else _NUMBER_BEFORE.search(before) or _VARIABLE_BEFORE.search(before)
    )
    if not (number_before or joined):
        leading = number_after and sign not in ("=", "*", "×", "÷", "!=", "-", "/")
        return match["left"] + _leading(sign, place) if leading else None
    if sign == "~" and number_after and not match["left"]:
        return "到" if place.chinese else " to "
    if bool(match["left"]) != bool(match["right"]) or sign in "√~":
        return None
    if sign in "<>" and not (number_before or number_after):
        return None
    if sign in "-/" and not match["left"]:
        return None
    equation = "=" in before[-16:] + after[:16]
    variable = _VARIABLE_BEFORE.search(before)
    if sign in "-/" and not equation:
        return None
    if sign in "+*×÷" and not (number_before and number_after) and not (variable or equation):
        return None
    if sign == "+" and not (number_before or number_after or equation):
        return None
    if (
        sign in "*×"
        and number_before
        and number_after
        and not equation
        and not (sign == "×" and (match["left"] or re.match(r"10[\^⁰¹²³⁴-⁹⁺⁻]", after)))
    ):
        return "乘" if place.chinese else " by "
    return _WORDS[sign][1] if place.chinese else f" {_WORDS[sign][0]} "


def _leading(sign: str, place: Place) -> str:
    """Read a sign that only has a number after it: ~5, ±5, ≥100."""
    if place.chinese:
        return _WORDS[sign][1]
    return f"{_ALONE.get(sign, _WORDS[sign][0])} "


@rule("sign", rf"(?P<first>{AMOUNT})[ ]?[-−–][ ]?(?P<last>{AMOUNT})(?=[ ]?[=＝])")
def difference(match: re.Match[str], place: Place) -> str:
    """1-2=5."""
    first, last = (count(match[name], place.say) for name in ("first", "last"))
    return f"{first}减{last}" if place.chinese else f"{first} minus {last}"


_POWERS = {"2": ("squared", "的平方"), "3": ("cubed", "的立方")}


@rule("power", r"(?P<up>[⁺⁻]?[⁰¹²³⁴-⁹]{1,9})|\^(?P<caret>-?[0-9]{1,6}|\{-?[0-9]{1,6}\}|[A-Za-z](?![A-Za-z]))")
def power(match: re.Match[str], place: Place) -> str | None:
    """10⁻³, x², 2^10."""
    exponent = (match["up"] or match["caret"]).translate(_SUPER).strip("{}+")
    if not re.search(r"[A-Za-z0-9)\]πα-ω一-鿿]\Z", place.before):
        return None
    if exponent in _POWERS:
        return _POWERS[exponent][1] if place.chinese else f" {_POWERS[exponent][0]}"
    negative, exponent = exponent.startswith("-"), exponent.lstrip("-")
    spoken = place.say.cardinal(exponent) if exponent.isdigit() else exponent
    if place.chinese:
        return f"的{'负' * negative}{spoken}次方"
    return f" to the power of {'minus ' * negative}{spoken}"


@rule("subscript", r"(?P<down>[₊₋]?[₀-₉]{1,9})")
def subscript(match: re.Match[str], place: Place) -> str:
    """H₂O."""
    digits = match["down"].translate(_SUB).strip("+-")
    return place.say.cardinal(digits) if len(digits) < 3 else place.say.digits(digits)


@rule("sign", r"\#[ ]?(?=[0-9])")
def number_sign(match: re.Match[str], place: Place) -> str | None:
    """#1."""
    if place.before and not place.before.endswith((" ", "(", "“", '"')) and not place.chinese:
        return None
    return "第" if place.chinese else "number "


@rule("sign", r"§[ ]?(?=[0-9])")
def paragraph(match: re.Match[str], place: Place) -> str:
    """§ 5."""
    return "第" if place.chinese else "section "


@rule("sign", r"&(?=[ ])")
def ampersand(match: re.Match[str], place: Place) -> str | None:
    """Tea & milk; R&D is not changed."""
    if not place.before.endswith(" "):
        return None
    return "和" if place.chinese else "and"


@rule("sign", r"(?P<plus>\+)(?![0-9A-Za-z+])")
def and_more(match: re.Match[str], place: Place) -> str | None:
    """18+."""
    if place.chinese or not re.search(r"(?:\A|[^A-Za-z0-9])[0-9,]+\Z", place.before):
        return None
    return " plus"
