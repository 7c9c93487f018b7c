"""Which scripts of a text are not those of the languages that a model speaks."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Final

from babel import Locale
from babel.core import get_global

from engine.text.language import Language

_SEVERAL: Final = {  # scripts by their ISO 15924 codes that Unicode's names of letters split up, or call otherwise
    "Hans": {"Chinese"},
    "Hant": {"Chinese"},
    "Jpan": {"Chinese", "Hiragana", "Katakana"},
    "Kore": {"Chinese", "Hangul"},
}
_UNNAMED: Final = {"CJK": "Chinese", "IDEOGRAPHIC": "Chinese"}  # characters whose names do not begin with the script
_READ: Final = "Greek"  # letters of formulas, which the normaliser reads

_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Foreign:
    """Scripts that a model does not speak, the most frequent first; `all`: the text has nothing else to say."""

    scripts: tuple[str, ...]
    all: bool


def foreign(text: str, languages: Collection[Language]) -> Foreign | None:
    """What `text` has in scripts that none of `languages` is written in; None if nothing.

    A language with the script of one of `languages`, such as French beside English, is not recognised.

    >>> foreign("I said 你好.", ["en"])
    Foreign(scripts=('Chinese',), all=False)
    >>> foreign("Привет!", ["en", "zh"])
    Foreign(scripts=('Cyrillic',), all=True)
    """
    own = {_READ}.union(*map(_scripts, languages))
    found = Counter(_script(letter) for letter in _LETTER.findall(unicodedata.normalize("NFKC", text)))
    others = tuple(script for script, _ in found.most_common() if script not in own)
    spoken = any(script in own for script in found) or any(char.isdigit() for char in text)
    return Foreign(others, not spoken) if others else None


def language_name(language: Language) -> str:
    """A language's name in English.

    >>> language_name("zh")
    'Chinese'
    """
    name: str = Locale("en").languages.get(language, language)
    return name


@cache
def _scripts(language: Language) -> frozenset[str]:
    """The scripts that a language is usually written in, by the names that Unicode gives their letters."""
    code = get_global("likely_subtags").get(language, f"{language}_Latn").split("_")[1]
    return frozenset(_SEVERAL.get(code, {Locale("en").scripts.get(code, "Latin")}))


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "unknown").split()[0]
    return _UNNAMED.get(name, name.capitalize())
