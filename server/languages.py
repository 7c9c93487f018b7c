"""Languages as clients name them: tags of BCP 47, and words."""

from __future__ import annotations

import re
from typing import Final

from engine import Language

_NAMES: Final[dict[Language, frozenset[str]]] = {
    "en": frozenset({"en", "eng", "english"}),
    "zh": frozenset({"zh", "zho", "chi", "cmn", "yue", "chinese", "mandarin", "中文", "汉语", "普通话"}),
}


def spoken_language(name: str | None) -> Language | None:
    """The language that numbers are read in; None for one that the normaliser has no rules for, and for "auto"."""
    primary = re.split(r"[-_\s(]", (name or "").strip().lower(), maxsplit=1)[0]
    return next((language for language, names in _NAMES.items() if primary in names), None)
