"""Options for text normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class TextOptions:
    """Options for text normalization.

    `language` is used if the text does not show its language, for example if it has digits only. `emoji` removes emoji
    ("drop") or reads their names ("name"). `code_blocks` reads fenced code ("read") or removes it ("skip"). Without
    `normalize`, only characters that a model cannot process are changed.
    """

    language: Language | None = None
    emoji: Literal["drop", "name"] = "drop"
    code_blocks: Literal["read", "skip"] = "read"
    normalize: bool = True


DEFAULT = TextOptions()
