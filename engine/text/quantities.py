"""Amounts: ordinals, ranges, measures, years, and all numbers without another rule."""

from __future__ import annotations

import re

from engine.text import chinese, english, units
from engine.text.numerals import AMOUNT, END, NUMBER, START, count, is_minus, plain
from engine.text.rules import Place, rule
from engine.text.script import HAN, LATIN
from engine.text.times import is_score

# A year unless the next word is counted: "1500 people", "1984 pages", but "1984 was".
_COUNTED = re.compile(
    r"\s(?:(?!(?:was|is|has|this|its|as|does|sees|marks|was)\b)[a-z]+s|people|men|women|children|feet|of|more|less)\b"
)
# Nouns after millions, as in "2.5m residents".
_MANY = re.compile(
    r" (?:people|residents|users|subscribers|followers|customers|views|downloads|jobs|barrels|homes|households"
    r"|workers|visitors|copies|votes|viewers|inhabitants|members|tourists|passengers|children|men|women|dollars|euros)\b"
)
_DATED = re.compile(r"(?i:\b(?:in|since|year|until|of|from)[ ])\Z")
_SCALE = r"(?:hundred|thousand|million|billion|trillion)"
# Measure words that take 两 instead of 二.
_COUNTED_TWO = (
    "km",
    "kg",
    "m",
    "公里",
    "公斤",
    "小时",
    "分钟",
    "秒钟",
    "刻钟",
    *"个只条张位次天周种台件辆块元岁人倍名杯本支家点年万亿千米吨克升座栋所间份双对套层把颗棵朵匹头场句首篇门部口碗瓶盒袋箱包根枚群组排届轮代声步斤",
)
_DIVISIONS = ("年级", "年纪", "班", "号", "楼", "月", "日")


def _in_context(written: str, place: Place, before: str, after: str) -> str:
    """Read a number according to its context: as a year, or 2个 as 两个."""
    after = after.removeprefix(" ")
    if not written.isdigit():
        return count(written, place.say)
    if place.chinese:
        divided = after.startswith(_DIVISIONS) or before.endswith(("第", "星期", "周"))
        if written == "2" and after.startswith(_COUNTED_TWO) and not divided:
            return "两"
        if before.endswith("第") or (len(written) == 2 and after.startswith(("月", "日", "号", "时", "分", "秒"))):
            return chinese.cardinal(written)
        return count(written, chinese)
    if len(written) == 2 and before.endswith(("'", "’")) and not after.startswith(("'", "’")):
        return english.year(written)
    earliest = "1001" if _DATED.search(before) else "1100"
    if len(written) == 4 and earliest <= written <= "2099" and not _COUNTED.match(" " + after):
        return english.year(written)
    return count(written, english)


@rule("ordinal", rf"{START}(?P<rank>[0-9]{{1,3}}(?:,[0-9]{{3}}){{1,5}}|[0-9]{{1,15}})(?i:st|nd|rd|th){END}")
def ordinal(match: re.Match[str], place: Place) -> str:
    """22nd."""
    return place.say.ordinal(plain(match["rank"]))


_DASH = r"(?:[-–—~～][ ]?|[ ][-–—~～][ ]|[ ]?(?:至|到)[ ]?|[ ]to[ ])"


@rule(
    "range",
    rf"""{START}(?P<first>{AMOUNT})(?:[ ]?(?P<unit>{units.UNIT}))?{_DASH}(?P<last>{AMOUNT})
    (?![0-9]|[:：/][0-9]|-[0-9]|[ ]?[=＝])
    (?:[ -]?(?P<last_unit>{units.UNIT})|(?![{LATIN}_]))""",
)
def span(match: re.Match[str], place: Place) -> str | None:
    """10-20, 5%-10%, 2-5lb, 1960-80; but 5 - 3 is a difference, and 1-2=5 an equation."""
    first, last, unit = match["first"], match["last"], match["last_unit"]
    if (match["unit"] and not unit) or (unit and not _fits(match, "last_unit", "last")):
        return None
    spaced = match.string.startswith(" - ", match.end("unit") if match["unit"] else match.end("first"))
    if spaced and not place.chinese and _value(first) > _value(last):
        return f"{count(first, english)} minus {count(last, english)}"
    after = unit or place.after
    years = (
        not unit and _is_year(first) and (_is_year(last) if place.chinese else len(last) in (2, 4) and last.isdigit())
    )
    if years and (first < last or not place.chinese):
        spoken = [place.say.year(number) for number in (first, last)]
    else:
        before = place.before if place.chinese else ""
        spoken = [_in_context(number, place, before, after) for number in (first, last)]
    both = place.say.ratio(*spoken) if is_score(place) and not unit else place.say.span(*spoken)
    return measured(both, unit, place, one=False) if unit else both


def _is_year(written: str) -> bool:
    return len(written) == 4 and written.isdigit() and "1100" <= written <= "2099"


def _fits(match: re.Match[str], unit: str, number: str) -> bool:
    return units.is_unit(match[unit], spaced=match.end(number) < match.start(unit))


def _value(written: str) -> float:
    return float(plain(written))


def measured(spoken: str, unit: str, place: Place, *, one: bool) -> str:
    """("five", "km") -> "five kilometers"; in Chinese a percentage comes first: "百分之五十"."""
    if not place.chinese:
        return f"{spoken} {units.name(unit, in_chinese=False, one=one)}"
    if unit in ("%", "‰"):
        sign = "负" if spoken.startswith("负") else ""
        return sign + ("百分之" if unit == "%" else "千分之") + spoken.removeprefix("负")
    if unit[0] in "°º" and spoken.startswith("负"):
        spoken = "零下" + spoken.removeprefix("负")
    return spoken + units.name(unit, in_chinese=True, one=one)


@rule(
    "measure",
    rf"{START}(?P<first>[0-9]{{1,3}})[ ]?(?:['′]|(?:ft|feet"
    rf"|foot)[. ]{{0,2}})(?P<last>[0-9]{{1,2}}(?:\.[0-9])?)(?:[\"″]|''"
    rf"|[ ]?(?:in(?:ch(?:es)?)?)(?![A-Za-z])|(?![0-9A-Za-z'′\"]))",
)
def feet_and_inches(match: re.Match[str], place: Place) -> str:
    """5 ft 11 in, also with quotes for the units."""
    feet, inches = match["first"], match["last"]
    if place.chinese:
        return f"{chinese.counted(feet)}英尺{chinese.cardinal(inches)}英寸"
    foot, inch = ("foot" if feet == "1" else "feet"), ("inch" if inches == "1" else "inches")
    return f"{english.cardinal(feet)} {foot} {english.cardinal(inches)} {inch}"


@rule(
    "measure",
    rf"{START}(?P<degrees>[0-9]{{1,3}}(?:\.[0-9]+)?)°[ ]?"
    rf"(?:(?P<minutes>[0-5]?[0-9])['′][ ]?(?:(?P<seconds>[0-5]?[0-9]"
    rf"(?:\.[0-9]+)?)[\"″])?)?[ ]?(?P<side>[NSEW])(?![A-Za-z])",
)
def coordinate(match: re.Match[str], place: Place) -> str:
    """40°26′46″N."""
    say = place.say
    parts = [say.cardinal(match[name]) for name in ("degrees", "minutes", "seconds") if match[name]]
    if place.chinese:
        side = {"N": "北纬", "S": "南纬", "E": "东经", "W": "西经"}[match["side"]]
        return side + "".join(part + name for part, name in zip(parts, "度分秒", strict=False))
    side = {"N": "north", "S": "south", "E": "east", "W": "west"}[match["side"]]
    words = [f"{part} {name}" for part, name in zip(parts, ("degrees", "minutes", "seconds"), strict=False)]
    return " ".join([*words, side])


@rule(
    "measure", rf"(?P<minus>-)?{START}(?P<number>{AMOUNT})(?P<gap>[ -]?)(?P<unit>{units.UNIT})(?P<stop>\.(?=[ ][a-z]))?"
)
def measure(match: re.Match[str], place: Place) -> str | None:
    """5 km, 12KG, 120m², 60km/h, -5°C, 50%."""
    number, unit, gap = match["number"], match["unit"], match["gap"]
    if not units.is_unit(unit, spaced=bool(gap)) or (match["minus"] and not is_minus(place)):
        return None
    if gap == "-" and (place.chinese or not re.match(r"[ ][a-z]|\Z|[.,]", place.after) or len(unit) < 2):
        return None
    if unit == "s" and not place.chinese and place.after.startswith(" of "):  # 1,000s of them
        return english.plural(count(number, english)).removeprefix("one ")
    if unit == "m" and not gap and not place.chinese and _MANY.match(place.after):
        return f"{count(number, english)} million"
    place_of_unit = _in_context(number, place, place.before, unit if place.chinese else " units")
    spoken = place.say.minus(place_of_unit) if match["minus"] else place_of_unit
    if gap == "-":
        return f"{spoken}-{units.name(unit, in_chinese=False, one=True)}"
    return measured(spoken, unit, place, one=plain(number) == "1")


@rule(
    "dimensions",
    rf"{START}(?!0x)(?P<first>{NUMBER})(?:[xX×]|[ ]x[ ])(?P<second>{NUMBER})"
    rf"(?:(?:[xX×]|[ ]x[ ])(?P<third>{NUMBER}))?(?:[ ]?(?P<unit>{units.UNIT})|(?![A-Za-z0-9_=]"
    rf"|=|[ ]?[\^⁰¹²³]))",
)
def dimensions(match: re.Match[str], place: Place) -> str | None:
    """1920x1080, 2x4x6 cm; but 2×4=8 is a product."""
    if re.match(r"10(?:\^|\Z)", match["second"] + place.after[:1]):
        return None
    numbers = [count(match[name], place.say) for name in ("first", "second", "third") if match[name]]
    by = "乘" if place.chinese else " times " if place.after.startswith(" =") else " by "
    spoken = by.join(numbers)
    return measured(spoken, match["unit"], place, one=False) if match["unit"] else spoken


@rule("multiple", rf"{START}(?P<number>[0-9]+(?:\.[0-9]+)?)[xX×](?![A-Za-z0-9_²³^]|[ ]?[-+=*/0-9])")
def times(match: re.Match[str], place: Place) -> str:
    """4.4x."""
    return count(match["number"], place.say) + ("倍" if place.chinese else " times")


@rule("number", rf"{START}(?P<number>[0-9]+(?:\.[0-9]+)?)[eE](?P<sign>[-+]?)(?P<exponent>[0-9]{{1,3}}){END}")
def scientific(match: re.Match[str], place: Place) -> str | None:
    """1.5e-6; but not 1e6 without a sign or a point, which may be a name."""
    if not match["sign"] and "." not in match["number"]:
        return None
    number, exponent = count(match["number"], place.say), place.say.cardinal(match["exponent"])
    if match["sign"] == "-":
        exponent = place.say.minus(exponent)
    return f"{number}乘十的{exponent}次方" if place.chinese else f"{number} times ten to the power of {exponent}"


@rule("number", rf"{START}(?P<number>[0-9]+(?:\.[0-9]+)?)k(?![A-Za-z0-9_])")
def thousands(match: re.Match[str], place: Place) -> str:
    """10k."""
    return count(match["number"], place.say) + ("千" if place.chinese else " thousand")


@rule("number", rf"(?P<number>{NUMBER})(?P<zeros>[ ]?{_SCALE}(?![A-Za-z]))?")
def number(match: re.Match[str], place: Place) -> str:
    """Numbers without another rule."""
    written = match["number"]
    spoken = count(written, place.say) if match["zeros"] else _in_context(written, place, place.before, place.after)
    return spoken + (" " + match["zeros"].strip() if match["zeros"] else "")


@rule("minus", rf"[-–][ ]?(?=\.?[0-9])(?P<number>{AMOUNT})(?![A-Za-z0-9_]|[.:/-][0-9])(?P<percent>[ ]?%)?")
def negative(match: re.Match[str], place: Place) -> str | None:
    """-5; but after a letter, a digit or a bracket it is a hyphen."""
    if not is_minus(place) or (
        " " in match[0].removesuffix("%").rstrip()
        and not (place.before == "" or place.before.rstrip().endswith(("=", "(", "×", "*", "/")))
    ):
        return None
    spoken = place.say.minus(count(match["number"], place.say))
    return measured(spoken, "%", place, one=False) if match["percent"] else spoken


@rule(
    "decimal",
    rf"(?<![A-Za-z0-9_.{HAN}])(?P<number>\.[0-9]+)(?:[ ]?(?P<unit>{units.UNIT}))?{END}"
    rf"|(?<=[{HAN}])(?P<after_han>\.[0-9]+)",
)
def bare_decimal(match: re.Match[str], place: Place) -> str:
    """.5."""
    spoken = place.say.cardinal("0" + (match["number"] or match["after_han"]))
    return measured(spoken, match["unit"], place, one=False) if match["unit"] else spoken
