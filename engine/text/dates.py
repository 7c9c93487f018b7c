"""Dates and ranges of dates: days, months and years, in digits and with names of months."""

from __future__ import annotations

import datetime
import re

from engine.text import chinese, english
from engine.text.numerals import START
from engine.text.rules import Place, rule

MONTH = r"""(?i:jan(?:uary|\.)?|feb(?:ruary|\.)?|mar(?:ch|\.)?|apr(?:il|\.)?|may|june?\.?|july?\.?|aug(?:ust|\.)?
    |sept?(?:ember|\.)?|oct(?:ober|\.)?|nov(?:ember|\.)?|dec(?:ember|\.)?)(?![A-Za-z])"""
_DAY = r"(?:[12][0-9]|3[01]|0?[1-9])"
_NTH = r"(?i:st|nd|rd|th)?"
_YEAR = r"(?:1[0-9]{3}|20[0-9]{2})(?![0-9]|[.,:][0-9]|[ ]?[%°])"
# What follows "may 5" if it is a date and not a verb with a number.
_AFTER_DAY = re.compile(r"\s*(?:\Z|[.,;:!?)\]\"”’'–-]|and\b|or\b|to\b|at\b|in\b|for\b|is\b|was\b|through\b|until\b)")
_ENDS_IN_MONTH_WORDS = re.compile(
    r"(?i:\b(?:in|of|by|since|last|next|this|until|till|from|to|mid|late|early|every)[ -])\Z"
)


def _month(written: str) -> str:
    """Return the month's full name; a full name is unchanged."""
    name = english.MONTHS[
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"].index(written[:3].lower())
    ]
    return written if written.lower() == name.lower() else name


def _stop(written: str, place: Place) -> str:
    """Return the full stop if the abbreviation also ends a sentence."""
    return "." if written.endswith(".") and re.match(r"\s*\Z|\s+[A-Z“\"]", place.after) else ""


def _in_full(year: str, month: str, day: str, place: Place) -> str | None:
    """Read a date in digits; None if there is no such day."""
    try:
        date = datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None
    return _spoken(date, place)


def _spoken(date: datetime.date, place: Place) -> str:
    if place.chinese:
        month_day = f"{chinese.cardinal(str(date.month))}月{chinese.cardinal(str(date.day))}日"
        return f"{chinese.digits(f'{date.year:04}')}年{month_day}"
    return f"{english.MONTHS[date.month - 1]} {english.ordinal(str(date.day))}, {english.year(str(date.year))}"


@rule(
    "date",
    rf"{START}(?P<year>[0-9]{{4}})(?P<mark>[-/.])(?P<month>[0-9]{{1,2}})(?P=mark)(?P<day>[0-9]{{1,2}})(?:日|号)?"
    r"(?![0-9]|[-/.][0-9])(?:T(?P<hour>[0-2]?[0-9]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]))?(?:\.[0-9]+)?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?(?![0-9]))?",
)
def year_first(match: re.Match[str], place: Place) -> str | None:
    """2024-05-06, and timestamps: 2024-05-06T10:00:00Z."""
    date = _in_full(match["year"], match["month"], match["day"], place)
    if not date or not match["hour"]:
        return date
    hour, minute = match["hour"], match["minute"]
    if place.chinese:
        return f"{date}{chinese.counted(hour.lstrip('0') or '0')}点{chinese.cardinal(minute)}分"
    time = f"{english.cardinal(hour)} {english.year(minute) if minute != '00' else 'hundred'}"
    return f"{date}, {time}{' U T C' if match['zone'] == 'Z' else ''}"


@rule(
    "date",
    rf"{START}(?P<one>[0-9]{{1,2}})(?P<mark>[-/.])(?P<two>[0-9]{{1,2}})(?P=mark)(?P<year>[12][0-9]{{3}}|[0-9]{{2}}(?=\b))"
    r"(?![0-9]|[-/.:][0-9])",
)
def year_last(match: re.Match[str], place: Place) -> str | None:
    """15-01-2020 and 15.01.2020, the day first; 1/15/2020, the month first if possible."""
    one, two, year = match["one"], match["two"], match["year"]
    if len(year) == 2 and (match["mark"] != "/" or place.chinese):
        return None
    day_first = match["mark"] != "/"
    full = year if len(year) == 4 else f"20{year}"
    for day, month in ((one, two), (two, one)) if day_first else ((two, one), (one, two)):
        spoken = _in_full(full, month, day, place)
        if spoken:
            return spoken if len(year) == 4 else spoken.rpartition(", ")[0] + ", " + english.year(year)
    return None


@rule(
    "date",
    rf"{START}(?:(?P<year>(?:19|20)[0-9]{{2}})[-/](?P<month>0[1-9]|1[0-2])|(?P<month_first>0?[1-9]|1[0-2])/(?P<year_last>(?:19|20)[0-9]{{2}}))"
    r"(?![0-9]|[-/.,:~–][0-9]|[ ]?[年%°]|[ ](?:seasons?|赛季))",
)
def year_and_month(match: re.Match[str], place: Place) -> str:
    """2020-12 and 12/2020."""
    year, month = match["year"] or match["year_last"], int(match["month"] or match["month_first"])
    if place.chinese:
        return f"{chinese.digits(year)}年{chinese.cardinal(str(month))}" + "月" * (not place.after.startswith("月"))
    return f"{english.MONTHS[month - 1]} {english.year(year)}"


@rule("date", rf"{START}(?P<month>0?[1-9]|1[0-2])/(?P<day>{_DAY})(?![0-9/]|[.,:][0-9])")
def month_and_day(match: re.Match[str], place: Place) -> str | None:
    """On 5/12: only after a word that precedes a date."""
    if place.chinese or not re.search(r"(?i:\b(?:on|since|until|dated|due|by)[ ])\Z", place.before):
        return None
    return f"{english.MONTHS[int(match['month']) - 1]} {english.ordinal(match['day'])}"


@rule(
    "date",
    rf"(?P<name>{MONTH})[ -]?(?P<day>{_DAY}){_NTH}(?![0-9%°$/]|[.:：][0-9]|,[0-9]{{3}}|[ ]?(?:%|°|[ap]\.?m\b))"
    rf"(?:(?P<dash>[ ]?[-–~—][ ]?|[ ]to[ ])(?P<last>{_DAY}){_NTH}(?![0-9]|[-/.:][0-9]|[A-Za-z])|(?![A-Za-z]|[-][0-9]))"
    rf"(?:(?P<comma>,?)[ ](?P<year>{_YEAR}))?",
)
def month_first(match: re.Match[str], place: Place) -> str | None:
    """May 6, 2024; JAN. 15; Jan-15; May 3-5."""
    written = match["name"]
    if written in ("may", "march", "mar") and not match["year"] and not _AFTER_DAY.match(place.after):
        return None
    spoken = f"{_month(written)} {english.ordinal(match['day'])}"
    if match["last"]:
        spoken += f" to {english.ordinal(match['last'])}"
    return spoken + (f"{match['comma']} {english.year(match['year'])}" if match["year"] else "")


@rule(
    "date",
    rf"{START}(?:(?P<first>{_DAY}){_NTH}(?:[ ]?[-–~][ ]?"
    rf"|[ ]to[ ]))?(?P<day>{_DAY}){_NTH}[ -]?(?:of[ ])?(?P<name>{MONTH})"
    rf"(?:(?P<comma>,?)[ -](?P<year>{_YEAR}))?",
)
def day_first(match: re.Match[str], place: Place) -> str | None:
    """25 July 2012; 25th of July; 3-5 May."""
    written = match["name"]
    doubtful = written in ("may", "march", "mar", "dec", "sep", "oct", "jan")
    if doubtful and not match["year"] and not _AFTER_DAY.match(place.after):
        return None
    article = "" if re.search(r"(?i:\bthe[ ])\Z", place.before) else "the "
    days = " to ".join(english.ordinal(day) for day in (match["first"], match["day"]) if day)
    stop = "" if match["year"] else _stop(written, place)
    year = f"{match['comma']} {english.year(match['year'])}" if match["year"] else ""
    return f"{article}{days} of {_month(written)}{year}{stop}"


@rule("date", rf"(?P<name>{MONTH})")
def month_alone(match: re.Match[str], place: Place) -> str | None:
    """In Sept., Oct. 2024: an abbreviation with its point, if it is a month."""
    year = re.match(rf"[ ]{_YEAR}", place.after, re.VERBOSE)
    if not match[0].endswith(".") or not (year or _ENDS_IN_MONTH_WORDS.search(place.before)):
        return _month(match[0]) if year and len(match[0]) == 3 and match[0][0].isupper() else None
    return _month(match[0]) + _stop(match[0], place) * (not year)


_DECADE = r"(?:1[0-9]|20)?[0-9]0"


@rule(
    "decade",
    rf"(?<![0-9A-Za-z_.,$€£])(?P<tens>(?:1[0-9]|20)[0-9]0"
    rf"|['’]?[2-9]0)['’]?s(?:[ ]?[-–][ ]?['’]?(?P<last>{_DECADE})['’]?s)?(?![A-Za-z0-9])",
)
def decade(match: re.Match[str], place: Place) -> str:
    """The 1980s, '70s, 1960s-80s."""
    tens = [part.lstrip("'’") for part in (match["tens"], match["last"]) if part]
    if place.chinese:
        return "到".join((chinese.digits(ten) if len(ten) == 4 else chinese.cardinal(ten)) + "年代" for ten in tens)
    return " to ".join(
        english.plural(english.year(ten) if ten[-2:] != "00" or len(ten) < 4 else english.pairs(ten)) for ten in tens
    )
