"""Clients' names for languages: BCP 47 tags and words."""

from __future__ import annotations

import re
from typing import Final

from engine import Language

_NAMES: Final[dict[Language, frozenset[str]]] = {
    "en": frozenset({"en", "eng", "english"}),
    "zh": frozenset({"zh", "zho", "chi", "cmn", "yue", "chinese", "mandarin", "中文", "汉语", "普通话"}),
}


def spoken_language(name: str | None) -> Language | None:
    """Return the language for the text normalizer; None for "auto" and for languages without rules."""
    primary = re.split(r"[-_\s(]", (name or "").strip().lower(), maxsplit=1)[0]
    return next((language for language, names in _NAMES.items() if primary in names), None)
