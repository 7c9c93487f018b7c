"""SSML's `say-as`: a text in words, read as what it is said to be."""

from __future__ import annotations

import datetime
import re
from typing import Final

from engine.text import Language, TextOptions, chinese, english, is_speakable, normalise
from engine.text.codes import dialled
from engine.text.rules import Speaker

_NUMBER = re.compile(r"[-−]?[0-9]+(?:\.[0-9]+)?")
_DIGITS: Final = "0123456789"
_FULL_WIDTH: Final = str.maketrans("０１２３４５６７８９", _DIGITS)
_LONGEST = 256  # characters that are read as a code or a number; longer ones are left as they are


def say_as(text: str, kind: str, style: str, language: Language) -> str | None:
    """Return the words for `text`; None if the kind is not known, or the text is none of this kind.

    `style` is the `format` attribute: the parts of a date in digits in their order, such as `dmy` or `my`.
    """
    text = " ".join(text.split()).translate(_FULL_WIDTH)
    if not is_speakable(text) or len(text) > _LONGEST:
        return text
    say: Speaker = chinese if language == "zh" else english
    options = TextOptions(language=language)
    match kind:
        case "characters" | "spell-out" | "verbatim":
            return " ".join(say.digits(char) if char in _DIGITS else char.upper() for char in text if char.strip())
        case "digits":
            return re.sub("[0-9]+", lambda number: say.digits(number[0]), text)
        case "cardinal" | "number":
            number = re.sub(r"[,\s]", "", text)
            if not _NUMBER.fullmatch(number):
                return None
            spoken = say.cardinal(number.lstrip("-−"))
            return say.minus(spoken) if number[0] in "-−" else spoken
        case "ordinal":
            number = re.sub(r"[,\s]|(?<=[0-9])(?:st|nd|rd|th)$", "", text)
            return say.ordinal(number) if re.fullmatch("[0-9]{1,36}", number) else None
        case "date" if style and not any(map(str.isalpha, text)):
            return _date(re.findall("[0-9]+", text), style.lower(), language)
        case "telephone" if re.fullmatch(r"[+0-9A-Z ().\-/]*[0-9][0-9A-Z ().\-/]*", text):
            return dialled(text, in_chinese=language == "zh")
        case "date" | "telephone" | "time" | "currency":
            return normalise(text, options)
    return None


def _date(numbers: list[str], style: str, language: Language) -> str | None:
    """Return the words for a date whose parts are in this order; None if they are not, or if there is no such day."""
    parts = dict(zip(style, numbers, strict=False))
    if not len(style) == len(numbers) == len(parts) or parts.keys() - set("dmy"):
        return None
    try:
        date = datetime.date(*(int(parts.get(*part)) for part in (("y", "2000"), ("m", "1"), ("d", "1"))))
    except (ValueError, OverflowError):
        return None
    if language == "zh":
        words = {"y": f"{chinese.digits(parts.get('y', ''))}年"}
        words |= {"m": f"{chinese.cardinal(str(date.month))}月", "d": f"{chinese.cardinal(str(date.day))}日"}
        return "".join(words[part] for part in "ymd" if part in parts)
    words = {"m": english.MONTHS[date.month - 1], "d": english.ordinal(str(date.day)) + "," * ("y" in parts)}
    words["y"] = english.year(parts.get("y", "0"))
    return " ".join(words[part] for part in "mdy" if part in parts)
