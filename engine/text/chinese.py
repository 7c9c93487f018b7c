"""Chinese readings of numbers; cn2an converts numbers to words."""

from __future__ import annotations

from functools import lru_cache

import cn2an

_DIGITS = "零一二三四五六七八九"
_MOST_DIGITS = 16  # what cn2an can read


def digits(text: str) -> str:
    """Read digit by digit: "007" -> "零零七"."""
    return "".join(_DIGITS[int(digit)] for digit in text if digit.isdecimal())


@lru_cache(maxsize=4096)
def _integer(number: str) -> str:
    return str(cn2an.an2cn(number))


def cardinal(number: str) -> str:
    """Read an integer or a decimal without separators: "3.50" -> "三点五零"."""
    whole, _, fraction = number.partition(".")
    spoken = _integer(whole) if len(whole) <= _MOST_DIGITS else digits(whole)
    if fraction:
        spoken += "点" + digits(fraction)
    return spoken


def counted(number: str) -> str:
    """Read a number before a measure word: "2" -> "两"."""
    return "两" if number == "2" else cardinal(number)


def minus(spoken: str) -> str:
    """Negate a spoken number."""
    return f"负{spoken}"


def year(number: str) -> str:
    """Read "1984" -> "一九八四"."""
    return digits(number)


def ordinal(number: str) -> str:
    """Read "22nd" within Chinese -> "第二十二"."""
    return "第" + cardinal(number)


def pairs(number: str) -> str:
    """Read models and house numbers: digit by digit if they have three digits or more."""
    return digits(number)


def fraction(top: str, bottom: str) -> str:
    """Read 3/4 -> "四分之三"."""
    return f"{cardinal(bottom)}分之{cardinal(top)}"


def mixed(whole: str, top: str, bottom: str) -> str:
    """Read 2 1/2 -> "二又二分之一"."""
    return f"{cardinal(whole)}又{fraction(top, bottom)}"


def span(first: str, last: str) -> str:
    """Read 10-20 -> "十到二十"."""
    return f"{first}到{last}"


def ratio(left: str, right: str) -> str:
    """Read 16:9 -> "十六比九"."""
    return f"{left}比{right}"


def phone(text: str) -> str:
    """Read a telephone number digit by digit, with 幺 for one: "110" -> "幺幺零"."""
    return digits(text).replace("一", "幺")


def groups(parts: list[str]) -> str:
    """Read groups of digits, with a pause between them."""
    return "，".join(map(phone, parts))
