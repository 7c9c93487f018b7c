"""Emoji: removed, or read as their short names in Unicode's CLDR."""

from __future__ import annotations

import re

import emoji

from engine.text.draft import Draft, Edit
from engine.text.language import Language
from engine.text.script import is_chinese

_MAY_HOLD = re.compile("[\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001ffff\u20e3]")


def name_emoji(draft: Draft, language: Language | None) -> None:
    """Replace every emoji by its name."""
    if not _MAY_HOLD.search(draft.text):
        return
    in_chinese = is_chinese(draft.text) if any(map(str.isalpha, draft.text)) else language == "zh"
    primary = (language or "en").partition("-")[0]
    code = "zh" if in_chinese else primary if primary in emoji.LANGUAGES else "en"
    if code != "en":
        emoji.config.load_language(code)
    edits = []
    for found in emoji.emoji_list(draft.text):
        start, end = found["match_start"], found["match_end"]
        name = emoji.demojize(found["emoji"], delimiters=("", ""), language=code).replace("_", " ")
        edits.append(Edit(start, end, name if in_chinese else f" {name} ", "emoji"))
    draft.apply(edits)
