"""Languages by their tags and names; numbers in languages other than English and Chinese."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from babel import Locale
from babel.core import UnknownLocaleError, get_global
from babel.numbers import get_decimal_symbol, get_group_symbol
from num2words import CONVERTER_CLASSES, num2words

from engine.text.draft import Draft
from engine.text.language import Language

RULES_FOR: Final = frozenset({"en", "zh"})
"""The languages that have rules of their own."""

_NAMES: Final[dict[Language, frozenset[str]]] = {
    "en": frozenset({"en", "eng", "english"}),
    "zh": frozenset({"zh", "zho", "chi", "cmn", "yue", "chinese", "mandarin", "中文", "汉语", "普通话"}),
}
_TAG = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{1,8})*")
_MOST_DIGITS = 15  # a longer number is read digit by digit


def spoken_language(name: str | None) -> Language | None:
    """The language that a BCP 47 tag or an English name means, such as de-AT or German; None for others.

    The regions of English and Chinese are left out. Others are kept: Swiss numbers are not French ones.

    >>> spoken_language("en-GB"), spoken_language("pt_BR"), spoken_language("hau"), spoken_language("auto")
    ('en', 'pt-BR', 'ha', None)
    """
    written = (name or "").strip().lower().replace("_", "-")
    primary = re.split(r"[-\s(]", written, maxsplit=1)[0]
    if known := next((language for language, names in _NAMES.items() if primary in names), None):
        return known
    if not _TAG.fullmatch(written):
        return _by_english_name().get(primary)
    primary = str(get_global("language_aliases").get(primary, primary))
    region = next((part for part in written.split("-")[1:] if len(part) == 2), "")
    return f"{primary}-{region.upper()}" if region else primary


@lru_cache(maxsize=1)
def _by_english_name() -> dict[str, str]:
    names = Locale("en").languages.items()
    return {name.lower(): tag for tag, name in names if re.fullmatch("[a-z]{2,3}", tag)}


def speak_numbers(draft: Draft, language: Language) -> None:
    """Replace numbers by words of the language; without words for them, leave them alone."""
    converter = _converter(language)
    if converter is None:
        return

    def spoken(match: re.Match[str]) -> str:
        whole, fraction = re.sub(r"[^0-9]", "", match["whole"]), match["fraction"]
        coded = len(whole) > _MOST_DIGITS or (len(whole) > 1 and whole.startswith("0"))
        try:
            if coded and not fraction:
                return " ".join(str(num2words(digit, lang=converter)) for digit in whole)
            return str(num2words(f"{whole}.{fraction}" if fraction else int(whole), lang=converter)).strip()
        except (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError):  # numbers without words
            return match[0]

    draft.substitute(_pattern(language), spoken, "number")


def _converter(language: Language) -> str | None:
    """The name that num2words has for a language; None if it does not know it."""
    primary = language.partition("-")[0]
    return next((name for name in (language.replace("-", "_"), primary) if name in CONVERTER_CLASSES), None)


@lru_cache(maxsize=64)
def _pattern(language: Language) -> re.Pattern[str]:
    """Numbers as this language writes them: 1.234,5 in German, 1 234,5 in French."""
    try:
        locale = Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        locale = Locale("en")
    point, group = re.escape(get_decimal_symbol(locale)), get_group_symbol(locale)
    groups = r"[ \u00a0\u202f]" if group.isspace() else "['’]" if group in "'’" else re.escape(group)
    number = rf"(?P<whole>[0-9]{{1,3}}(?:{groups}[0-9]{{3}})+(?![0-9])|[0-9]+)(?:{point}(?P<fraction>[0-9]+))?"
    return re.compile(rf"(?<![A-Za-z0-9_]){number}(?![A-Za-z0-9_])")
