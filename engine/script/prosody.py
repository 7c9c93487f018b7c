"""The values of SSML's `break` and `prosody`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

STRENGTHS: Final = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 1.0, "x-strong": 1.5}
"""Seconds of a `break` without a `time`. SSML leaves them to the speech synthesizer."""
RATES: Final = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75}
"""The tempo of each named `rate`."""

_TIME = re.compile(r"\+?(?P<number>[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?P<unit>m?s)")
_RATE = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9]{1,4}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?P<percent>%?)")


def break_seconds(attributes: Mapping[str, str]) -> float | None:
    """Return the seconds of a `break`, or None if its attributes are wrong. A `time` goes over a `strength`."""
    if "time" in attributes:
        match = _TIME.fullmatch(attributes["time"].strip())
        return float(match["number"]) / (1000 if match["unit"] == "ms" else 1) if match else None
    return STRENGTHS.get(attributes.get("strength", "medium").strip())


def tempo(rate: str) -> float | None:
    """Return the tempo of a `rate`, or None if it is wrong.

    A percentage with a sign is a change, as "+20%"; one without is the tempo itself, as "120%".
    """
    rate = rate.strip()
    if rate in RATES:
        return RATES[rate]
    match = _RATE.fullmatch(rate)
    if match is None or (match["sign"] and not match["percent"]):
        return None
    number = float(match["number"]) / (100 if match["percent"] else 1)
    if match["sign"]:
        number = 1 + number if match["sign"] == "+" else 1 - number
    return number if number > 0 else None
