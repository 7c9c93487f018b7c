"""English readings of numbers; num2words converts numbers to words."""

from __future__ import annotations

from functools import lru_cache

from num2words import num2words

_DIGITS = [str(num2words(digit)) for digit in range(10)]
MONTHS = ["January", "February", "March", "April", "May", "June"]
MONTHS += ["July", "August", "September", "October", "November", "December"]
_MOST_DIGITS = 36  # num2words knows names for these; a longer one is read digit by digit


def digits(text: str) -> str:
    """Read digit by digit: "007" -> "zero zero seven"."""
    return " ".join(_DIGITS[int(digit)] for digit in text if digit.isdecimal())


@lru_cache(maxsize=4096)
def _integer(number: int) -> str:
    return str(num2words(number)).replace(",", "")


def cardinal(number: str) -> str:
    """Read an integer or a decimal without separators: "3.50" -> "three point five zero"."""
    whole, _, fraction = number.partition(".")
    spoken = _integer(int(whole)) if len(whole) <= _MOST_DIGITS else digits(whole)
    if fraction:
        spoken += " point " + digits(fraction)
    return spoken


def minus(spoken: str) -> str:
    """Negate a spoken number."""
    return f"minus {spoken}"


@lru_cache(maxsize=1024)
def year(number: str) -> str:
    """Read "1984" -> "nineteen eighty-four"; "84" -> "eighty-four", "05" -> "oh five"."""
    if len(number) == 2:
        return f"oh {cardinal(number)}" if number.startswith("0") else cardinal(number)
    return str(num2words(int(number), to="year"))


@lru_cache(maxsize=1024)
def ordinal(number: str) -> str:
    """Read "22" -> "twenty-second"."""
    return str(num2words(int(number), to="ordinal")).replace(",", "")


def pairs(number: str) -> str:
    """Read three or four digits as people read house numbers and models: "1428" -> "fourteen twenty-eight"."""
    head, tail = number[:-2], number[-2:]
    if head.startswith("0") or int(head) == 0:
        return digits(number)
    if tail == "00":
        thousands = len(head) == 2 and head.endswith("0")
        return f"{cardinal(head[0])} thousand" if thousands else f"{cardinal(head)} hundred"
    return f"{cardinal(head)} {year(tail)}"


def plural(spoken: str) -> str:
    """Return the plural of a spoken number: "eighty" -> "eighties", "half" -> "halves", "third" -> "thirds"."""
    if spoken.endswith("half"):
        return spoken.removesuffix("f") + "ves"
    if spoken.endswith(("s", "x")):
        return spoken + "es"
    return spoken.removesuffix("y") + "ies" if spoken.endswith("y") else spoken + "s"


def fraction(top: str, bottom: str) -> str:
    """Read 3/4 -> "three quarters", 23/44 -> "twenty-three over forty-four"."""
    part = {"2": "half", "4": "quarter"}.get(bottom) or ordinal(bottom)
    if int(bottom) < 2 or int(top) < 1 or (int(bottom) > 20 and bottom.strip("0") not in "123456789"):
        return f"{cardinal(top)} over {cardinal(bottom)}"
    return f"{cardinal(top)} {part if top == '1' else plural(part)}"


def mixed(whole: str, top: str, bottom: str) -> str:
    """Read 2 1/2 -> "two and a half"."""
    part = fraction(top, bottom)
    return f"{cardinal(whole)} and {'a ' + part.removeprefix('one ') if (top, bottom) == ('1', '2') else part}"


def span(first: str, last: str) -> str:
    """Read 10-20 -> "ten to twenty"."""
    return f"{first} to {last}"


def ratio(left: str, right: str) -> str:
    """Read 16:9 -> "sixteen to nine"."""
    return f"{left} to {right}"


def groups(parts: list[str]) -> str:
    """Read groups of digits, with a pause between them."""
    return ", ".join(map(digits, parts))
