"""Finds the numbers in a text and has each read in the language around it.

One expression names what is recognised, in order; whatever it does not match, or matches as verbatim (words
with digits in them, versions, fractions, addresses), stays as it was. Every repetition in it is possessive or
bounded, and starts where no earlier attempt can have passed: the time is linear in the text.
"""

# ruff: noqa: D102 - what the protocol's methods do is said where they are written

from __future__ import annotations

import datetime
import re
from typing import Protocol

from engine.text import chinese, english
from engine.text.script import LATIN, is_chinese, is_han

_START = rf"(?<![{LATIN}0-9_])"
_END = rf"(?![{LATIN}0-9_])"
_MERIDIEM = rf"(?:[AaPp]\.[Mm]\.|[AaPp][Mm]{_END})"
_NUMBER = r"(?>[0-9]{1,3}(?:,[0-9]{3}){1,5}+(?![0-9])|[0-9]++)(?:\.[0-9]++)?+"
_MINUS = rf"(?<![{LATIN}0-9_)\]%.])-"
_UNIT = r"°C|°F|°|[%‰€£]|km/h|km|cm|mm|kg|mg|ml"
_MONTH = (
    r"(?:Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)|Apr(?:il|\.)?|May|June?|July?|Aug(?:ust|\.)?"
    r"|Sept?(?:ember|\.)?|Oct(?:ober|\.)?|Nov(?:ember|\.)?|Dec(?:ember|\.)?)"
)
_TOKEN = re.compile(
    rf"""
      (?P<address>{_START}(?:https?://|www\.)[!-~]++
        | (?<![A-Za-z0-9._+%-])[A-Za-z0-9._+%-]++@[A-Za-z0-9.-]++
        | {_START}[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:.+-]++Z?)
    | (?P<date>{_START}(?P<year>[0-9]{{4}})(?P<mark>[-/])(?P<month>[0-9]{{1,2}})(?P=mark)
        (?P<day>[0-9]{{1,2}})(?![0-9]|[/-][0-9]))
    | (?P<phone>(?<![{LATIN}0-9_])(?<![0-9]-)(?:
          \+(?=(?:[ ()-]{{0,2}}[0-9]){{7}})[0-9]{{1,3}}[ -]?(?:\([0-9]++\)[ ]?)?+[0-9]++(?:[ -][0-9]++)*+
        | \(0?[0-9]{{2,3}}\)[ ]?[0-9]{{3,4}}[ -]?[0-9]{{4}}{_END}
        | [0-9]++(?:-[0-9]++){{2,}}+ | 0[0-9]{{2,3}}-[0-9]{{7,8}}{_END} | [0-9]{{3}}-[0-9]{{4}}{_END}
        | 1[3-9][0-9][ ][0-9]{{4}}[ ][0-9]{{4}}{_END}))
    | (?P<verbatim>{_START}[0-9]++(?:(?:\.[0-9]++){{2,}}+|(?:/[0-9]++)++))
    | (?P<clock>{_START}(?:(?P<hour>[01]?[0-9]|2[0-3])[:：](?P<minute>[0-5][0-9])
        (?:[:：](?P<second>[0-5][0-9]))?+(?![0-9]|[:：][0-9]) | (?P<bare>1[0-2]|0?[1-9])(?=[ ]?{_MERIDIEM}))
        (?:[ ]?(?P<meridiem>{_MERIDIEM}))?+{_END})
    | (?P<ratio>{_START}(?P<left>[0-9]{{1,4}})[:：](?P<right>[0-9]{{1,4}})(?![0-9]|[:：][0-9]){_END})
    | (?P<money>(?P<debit>{_MINUS})?+(?:US)?(?P<coin>[$€£¥])[ ]?(?P<price>{_NUMBER})
        (?:(?:(?P<scale>[kKmMB]|bn)|[ ](?P<scale_word>thousand|million|billion|trillion)){_END}
          | (?P<han_scale>[万亿]))?+(?![0-9]))
    | (?P<ordinal>{_START}(?P<rank>[0-9]{{1,3}}(?:,[0-9]{{3}}){{1,3}}+|[0-9]{{1,9}})(?:st|nd|rd|th){_END})
    | (?P<decade>{_START}(?P<tens>[0-9]{{3}}0|[2-9]0)'?s{_END})
    | (?P<month_day>{_START}(?P<month_name>{_MONTH})[ ](?P<month_nth>[12][0-9]|3[01]|0?[1-9])
        (?![0-9:：%°$/]|[.,-][0-9]|[ ]?(?:{_UNIT})){_END})
    | (?P<word>{_START}(?=[0-9]*+[A-Za-z_])(?!{_NUMBER}(?:{_UNIT}){_END})[A-Za-z0-9_]++(?:\.[0-9]++)*+)
    | (?P<quantity>(?:(?P<minus>{_MINUS})?+{_START}(?P<first>{_NUMBER})|(?<![A-Za-z0-9_.])(?P<point>\.[0-9]++))
        (?:%?[-–~～](?P<last>{_NUMBER})(?![:：/-]?[0-9]))?
        (?:[ ]?(?P<unit>{_UNIT}){_END}|{_END}))
    """,
    re.VERBOSE,
)
_SENTENCE = re.compile(r"(?<=[。！？；])|(?<=[.!?])(?=\s[^\s0-9])")
_MOST_DIGITS = 9  # a longer number without separators is a phone number or a code, unless it ends in 000


class Speaker(Protocol):
    """A language: `english` and `chinese` are modules with these functions. Numbers come without separators."""

    def digits(self, text: str) -> str: ...
    def cardinal(self, number: str) -> str: ...
    def minus(self, spoken: str) -> str: ...
    def in_context(self, number: str, before: str, after: str) -> str | None: ...
    def ordinal(self, number: str) -> str: ...
    def decade(self, number: str) -> str: ...
    def date(self, day: datetime.date) -> str: ...
    def clock(self, hour: int, minute: int, second: int | None, meridiem: str) -> str: ...
    def ratio(self, left: str, right: str) -> str: ...
    def span(self, first: str, last: str) -> str: ...
    def money(self, sign: str, number: str, negative: bool, scale: str) -> str: ...
    def measure(self, spoken: str, unit: str, singular: bool) -> str: ...
    def phone(self, groups: list[str]) -> str: ...


def speak_numbers(text: str) -> str:
    """Return `text` with its numbers in words, each in the language of its sentence.

    >>> speak_numbers("In 1984 it cost $3.50. 现在涨了50%。")
    'In nineteen eighty-four it cost three dollars and fifty cents. 现在涨了百分之五十。'
    """
    whole_is_chinese = is_chinese(text)
    out: list[str] = []
    for sentence in _SENTENCE.split(text):
        has_letters = any(char.isalpha() for char in sentence)
        _speak_sentence(sentence, is_chinese(sentence) if has_letters else whole_is_chinese, out)
    return "".join(out)


def _speak_sentence(sentence: str, in_chinese: bool, out: list[str]) -> None:
    done = 0
    for match in _TOKEN.finditer(sentence):
        if match.lastgroup in ("address", "verbatim", "word"):
            continue
        start, end = match.span()
        beside_han = is_han(sentence[start - 1 : start]) or is_han(sentence[end : end + 1])
        _append(out, sentence[done:start])
        _append(out, _speak(match, chinese if in_chinese or beside_han else english))
        done = end
    _append(out, sentence[done:])


def _append(out: list[str], text: str) -> None:
    """Add `text`, after a space where it would run into the letters before it."""
    if out and text and out[-1][-1].isalnum() and text[0].isalnum() and (out[-1][-1] + text[0]).isascii():
        out.append(" ")
    if text:
        out.append(text)


def _speak(match: re.Match[str], speaker: Speaker) -> str:
    part = match.groupdict(default="")
    match match.lastgroup:
        case "date":
            return _date(match, speaker)
        case "phone":
            return speaker.phone(re.findall("[0-9]+", match[0]))
        case "clock":
            hour, second = int(part["hour"] or part["bare"]), part["second"]
            return speaker.clock(hour, int(part["minute"] or 0), int(second) if second else None, part["meridiem"])
        case "ratio":
            return speaker.ratio(*(_count(part[side], speaker) for side in ("left", "right")))
        case "money":
            scale = part["scale"] or part["scale_word"] or part["han_scale"]
            return _money(part["coin"], part["price"], speaker, bool(part["debit"]), scale)
        case "ordinal":
            return speaker.ordinal(_plain(part["rank"]))
        case "decade":
            return speaker.decade(part["tens"])
        case "month_day":
            return f"{part['month_name']} {english.ordinal(part['month_nth'])}"
        case _:
            return _quantity(match, speaker)


def _date(match: re.Match[str], speaker: Speaker) -> str:
    try:
        return speaker.date(datetime.date(int(match["year"]), int(match["month"]), int(match["day"])))
    except ValueError:
        return match[0]


def _money(coin: str, price: str, speaker: Speaker, negative: bool = False, scale: str = "") -> str:
    number = _plain(price)
    if _is_code(number):
        return f"{coin} {speaker.digits(number)}"
    return speaker.money(coin, number, negative, scale)


def _quantity(match: re.Match[str], speaker: Speaker) -> str:
    """Read a number, or two with a dash between them, and the unit after it."""
    first, last, unit = match["first"] or "0" + match["point"], match["last"], match["unit"] or ""
    negative = bool(match["minus"])
    if unit in ("€", "£") and not last:
        return _money(unit, first, speaker, negative)
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:40]
    spoken = [_amount(number, speaker, before, unit or after) for number in (first, last) if number]
    if negative:
        spoken[0] = speaker.minus(spoken[0])
    whole = speaker.span(*spoken) if last else spoken[0]
    if unit in ("€", "£"):
        return f"{whole}{unit}"
    return speaker.measure(whole, unit, first == "1" and not last) if unit else whole


def _amount(number: str, speaker: Speaker, before: str, after: str) -> str:
    return speaker.in_context(number, before, after) or _count(number, speaker)


def _count(number: str, speaker: Speaker) -> str:
    number = _plain(number)
    return speaker.digits(number) if _is_code(number) else speaker.cardinal(number)


def _plain(number: str) -> str:
    return number.replace(",", "")


def _is_code(number: str) -> bool:
    """Whether `number` is read digit by digit: 007, or long."""
    whole = number.partition(".")[0]
    long = len(whole) > _MOST_DIGITS and not (len(whole) <= 15 and whole.endswith("000"))
    return long or (len(whole) > 1 and whole.startswith("0"))
