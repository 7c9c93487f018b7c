"""Years, months and days with their Chinese words: 2024年, 8月-10月, 90后."""

from __future__ import annotations

import re

from engine.text import chinese
from engine.text.rules import Place, rule

_AGO = re.compile(r"[ ]?(?:之?前|的?历史|以上|以来|间|里|过去)")
_HAPPENED = re.compile(r"[ ]?(?:出生|毕业|入学|参军|结婚|去世|世界杯|奥运|版)")


@rule(
    "date",
    r"(?P<era>(?<=公元)|(?<=公元前))?(?P<year>[0-9]{2,4})(?:[ ]?[-–—~～至到][ ]?(?P<last>[0-9]{2,4}))?[ ]?年(?!级)"
    r"(?:(?P<month>[ ]?[01]?[0-9](?:[ ]?[-–~～][ ]?[01]?[0-9])?[ ]?月)|(?P<kind>代|[初末底中春夏秋冬度]|生人))?",
)
def year(match: re.Match[str], place: Place) -> str:
    """2024年, 86年8月, 05年, 2010-2015年; but 1000年前 and 20年 are spans of time."""
    read = chinese.digits if _is_name(match, place) else chinese.counted
    years = "到".join(read(match[name]) for name in ("year", "last") if match[name])
    months = "到".join(map(chinese.cardinal, re.findall("[0-9]+", match["month"] or "")))
    return f"{years}年{months}{'月' if months else ''}{match['kind'] or ''}"


def _is_name(match: re.Match[str], place: Place) -> bool:
    """Whether this is a year, which is read digit by digit, and not a number of years."""
    year, last, kind, era = match["year"], match["last"] or "", match["kind"] or "", match["era"] is not None
    if era or len(year) == 3 or len(last) == 3:
        return era
    if len(year) == 4 and not match["month"]:
        is_round = year.endswith("000") and year != "2000"
        return year <= "2100" and not is_round and not (year.endswith("00") and _AGO.match(place.after))
    if kind == "代":
        return False
    return (
        bool(match["month"] or kind)
        or year.startswith("0")
        or (year > "50" and _HAPPENED.match(place.after) is not None)
    )


@rule(
    "date",
    r"(?P<month>0?[1-9]|1[0-2])(?:[ ]?月份?)?[ ]?[-–—~～至到][ ]?(?P<last>0?[1-9]|1[0-2])[ ]?(?P<word>月份?)(?![0-9])"
    r"|(?P<one>0?[1-9]|1[0-2])[ ]?月[ ]?(?P<day>[0-3]?[0-9])[ ]?(?:日"
    r"|号)?[ ]?[-–—~～至到][ ]?(?P<other>[0-3]?[0-9])[ ]?(?P<end>[日号])",
)
def month_range(match: re.Match[str], place: Place) -> str:
    """8月-10月, 5-6月, 5月1日-7日."""
    if match["month"]:
        first = chinese.cardinal(match["month"]) + ("月" if "月" in match[0].rstrip("月份") else "")
        return f"{first}到{chinese.cardinal(match['last'])}{match['word']}"
    days = [chinese.cardinal(match[name]) for name in ("day", "other")]
    return f"{chinese.cardinal(match['one'])}月{days[0]}{match['end']}到{days[1]}{match['end']}"


@rule(
    "date",
    r"(?P<years>[5-9][05]|[012][05])(?=(?:[ ]?[、,，和与及][ ]?[0-9][05])*[ ]?后"
    r"(?![来天面边头续门备果]))|(?P<month>0[1-9])(?=[ ]?[月日号时分秒])",
)
def generation(match: re.Match[str], place: Place) -> str:
    """90后 is a generation; 05月 has no zero."""
    return chinese.digits(match["years"]) if match["years"] else chinese.cardinal(match["month"])
