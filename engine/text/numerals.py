"""Notation of numbers: separators, and the distinction between amounts and codes."""

from __future__ import annotations

import re

from engine.text.rules import Place, Speaker
from engine.text.script import LATIN

START = rf"(?<![{LATIN}0-9_])"
END = rf"(?![{LATIN}0-9_])"
INTEGER = r"(?>[0-9]{1,3}(?:,[0-9]{3}){1,8}(?![0-9]|,[0-9]{3}(?![0-9]))|[0-9]+)"
NUMBER = r"""(?>
    [0-9]{1,3}(?:,[0-9]{3}){1,8}(?![0-9]|,[0-9])(?:\.[0-9]+)?
  | [0-9]{1,2}(?:,[0-9]{2}){1,6},[0-9]{3}(?![0-9]|,[0-9])(?:\.[0-9]+)?
  | [0-9]{1,3}(?:\.[0-9]{3}){1,6},[0-9]{1,2}(?![0-9]|,[0-9])
  | [1-9][0-9]{0,2}(?:\.[0-9]{3}){2,6}(?![0-9]|\.[0-9])
  | (?:[1-9][0-9]{0,2}(?:[ ][0-9]{3}){2,6}|[1-9][0-9]{0,2}[ ]000)(?![0-9]|[ ,.:/-][0-9])
  | (?<![0-9],)[0-9]+,[0-9]{2}(?![0-9]|[,.:/-][0-9])
  | (?<![0-9],)[0-9]+,[0-9](?=[ ]?(?:[€%°]|k[gm]|[cm]?m|[gl])(?![A-Za-z]))
  | [0-9]+(?:\.[0-9]+)?
)"""
# A whole number, and one that may begin with its point.
AMOUNT = rf"(?>{NUMBER}|\.[0-9]+)"
_LONG = 9  # a longer number without separators is a phone number or a code, unless it ends in 000
_CONTINENTAL = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]+,[0-9]{1,2}")
_DOTTED = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3}){2,}")


def plain(written: str) -> str:
    """Remove separators, and use a decimal point: "1.299,50" -> "1299.50", "1,00,000" -> "100000"."""
    if _CONTINENTAL.fullmatch(written):
        return written.replace(".", "").replace(",", ".")
    if _DOTTED.fullmatch(written):
        return written.replace(".", "")
    number = written.replace(",", "").replace(" ", "")
    return "0" + number if number.startswith(".") else number


def is_code(written: str) -> bool:
    """Whether a written number is read digit by digit: 007, or a long one."""
    whole = written.partition(".")[0]
    long = whole.isdigit() and len(whole) > _LONG and not (len(whole) <= 15 and whole.endswith("000"))
    return long or (len(whole) > 1 and whole.startswith("0"))


def count(written: str, say: Speaker) -> str:
    """Read a written number."""
    number = plain(written)
    if is_code(written):
        whole, point, fraction = number.partition(".")
        return say.digits(whole) + (say.cardinal("0." + fraction).removeprefix(say.cardinal("0")) if point else "")
    return say.cardinal(number)


def is_minus(place: Place) -> bool:
    """Whether a hyphen here, before a number, is a minus sign."""
    return not re.search(rf"[{LATIN}0-9_)\]%.°²³]\Z", place.before)
