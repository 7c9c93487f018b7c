"""SSML's `say-as`: a text in words, read as what it is said to be."""

from __future__ import annotations

import re
from typing import Final

from engine.text import Language, TextOptions, chinese, english, is_speakable, normalise
from engine.text.codes import dialled
from engine.text.rules import Speaker

_NUMBER = re.compile(r"[-−]?[0-9]+(?:\.[0-9]+)?")
_DIGITS: Final = "0123456789"
_LONGEST = 256  # characters that are read as a code or a number; longer ones are left as they are


def say_as(text: str, kind: str, style: str, language: Language) -> str | None:
    """Return the words for `text`; None if the kind is not known, or the text is none of this kind.

    `style` is the `format` attribute: the order of a date's parts, such as `dmy`.
    """
    text = " ".join(text.split())
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
        case "date":
            return normalise(_date(text, style), options)
        case "telephone" if re.fullmatch(r"[+0-9A-Z ().\-/]*[0-9][0-9A-Z ().\-/]*", text):
            return dialled(text, in_chinese=language == "zh")
        case "telephone" | "time" | "currency":
            return normalise(text, options)
    return None


def _date(text: str, style: str) -> str:
    """Write a date with its year first, which is not ambiguous; a text that does not match `style` stays as it is."""
    numbers = re.findall("[0-9]+", text)
    if len(numbers) != len(style) or sorted(style) != ["d", "m", "y"]:
        return text
    parts = dict(zip(style, numbers, strict=True))
    return f"{parts['y']:0>4}-{parts['m']:0>2}-{parts['d']:0>2}"
