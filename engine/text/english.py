"""Numbers as English speakers read them; num2words does the number-to-words work."""

from __future__ import annotations

import datetime
import re
from functools import lru_cache

from num2words import num2words

_DIGITS = [str(num2words(digit)) for digit in range(10)]
_MONTHS = ["January", "February", "March", "April", "May", "June"]
_MONTHS += ["July", "August", "September", "October", "November", "December"]
_COINS = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""),
}
_SCALES = {"k": "thousand", "K": "thousand", "M": "million", "m": "million", "B": "billion", "bn": "billion"}
_UNITS = {
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "ml": ("milliliter", "milliliters"),
}
# A year unless the next word is what is counted: "1500 people", "1984 pages", but "1984 was".
_COUNTED = re.compile(
    r"\s(?:(?!(?:was|is|has|this|its|as|does|sees|marks)\b)[a-z]+s|people|men|women|children|feet|of|more|less)\b"
)


def digits(text: str) -> str:
    """Digit by digit: "007" -> "zero zero seven"."""
    return " ".join(_DIGITS[int(digit)] for digit in text if digit.isdigit())


@lru_cache(maxsize=1024)
def _integer(number: int) -> str:
    return str(num2words(number)).replace(",", "")


def cardinal(number: str) -> str:
    """Read an integer or a decimal without separators: "3.50" -> "three point five zero"."""
    whole, _, fraction = number.partition(".")
    spoken = _integer(int(whole))
    if fraction:
        spoken += " point " + digits(fraction)
    return spoken


def minus(spoken: str) -> str:
    """Negate what is spoken."""
    return f"minus {spoken}"


def in_context(number: str, before: str, after: str) -> str | None:
    """Read `number` as the text around it asks, if it does: as a year, where nothing is counted."""
    is_year = number.isdigit() and len(number) == 4 and "1100" <= number <= "2099"
    return year(number) if is_year and not _COUNTED.match(after) else None


def year(number: str) -> str:
    """Read "1984" -> "nineteen eighty-four"."""
    return str(num2words(int(number), to="year"))


def ordinal(number: str) -> str:
    """Read "22" -> "twenty-second"."""
    return str(num2words(int(number), to="ordinal")).replace(",", "")


def decade(number: str) -> str:
    """Read "1980" -> "nineteen eighties"."""
    spoken = year(number) if len(number) == 4 else cardinal(number)
    return spoken.removesuffix("y") + "ies" if spoken.endswith("y") else spoken + "s"


def date(day: datetime.date) -> str:
    """2024-05-06 -> "May sixth, twenty twenty-four"."""
    return f"{_MONTHS[day.month - 1]} {ordinal(str(day.day))}, {year(str(day.year))}"


def clock(hour: int, minute: int, second: int | None, meridiem: str) -> str:
    """3:05 -> "three oh five"; 3:00 -> "three o'clock"."""
    words = [cardinal(str(hour))]
    if minute or second is not None:
        words.append(f"oh {cardinal(str(minute))}" if 0 < minute < 10 else cardinal(str(minute)))
    elif not meridiem:
        words.append("o'clock")
    if second is not None:
        words.append(f"and {cardinal(str(second))} second" + "s" * (second != 1))
    return " ".join([*words, meridiem]).strip()


def ratio(left: str, right: str) -> str:
    """16:9 -> "sixteen to nine"."""
    return f"{left} to {right}"


def span(first: str, last: str) -> str:
    """10-20 -> "ten to twenty"."""
    return f"{first} to {last}"


def money(sign: str, number: str, negative: bool, scale: str) -> str:
    """Read "$3.50" -> "three dollars and fifty cents"; `scale` is what follows, as in "$5 million" or "$3k"."""
    one, many, small_one, small_many = _COINS[sign]
    whole, _, fraction = number.partition(".")
    start = minus("") * negative
    if scale or len(fraction) > 2 or (fraction and not small_one):
        amount = cardinal(number.rstrip("0").rstrip(".") if fraction else whole)
        return " ".join(filter(None, [start + amount, _SCALES.get(scale, scale), many]))
    cents = int(fraction.ljust(2, "0"))
    parts = []
    if int(whole) or not cents:
        parts.append(f"{cardinal(whole)} {one if int(whole) == 1 else many}")
    if cents:
        parts.append(f"{cardinal(str(cents))} {small_one if cents == 1 else small_many}")
    return start + " and ".join(parts)


def measure(spoken: str, unit: str, singular: bool) -> str:
    """("five", "km") -> "five kilometers"."""
    return f"{spoken} {_UNITS[unit][not singular]}"


def phone(groups: list[str]) -> str:
    """Groups of digits, with a pause between them."""
    return ", ".join(map(digits, groups))
