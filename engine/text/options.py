"""Options for text normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = str
"""The first part of a BCP 47 tag. English and Chinese have rules of their own."""


@dataclass(frozen=True, slots=True)
class TextOptions:
    """Options for text normalization.

    English or Chinese as `language` counts if the text does not show which of the two it is, for example if it has
    digits only. Any other language counts for the whole text: its numbers are read in it. `emoji` removes emoji
    ("drop") or reads their names ("name"). `code_blocks` reads fenced code ("read") or removes it ("skip"). Without
    `normalize`, only characters that a model cannot process are changed.
    """

    language: Language | None = None
    emoji: Literal["drop", "name"] = "drop"
    code_blocks: Literal["read", "skip"] = "read"
    normalize: bool = True


DEFAULT = TextOptions()
