"""Options for text normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.text.language import Language
from engine.text.lexicon import NO_LEXICON, Lexicon

Split = Literal["sentence", "clause"]
"""Where a text is split: at the ends of sentences, or also at the punctuation of clauses."""


@dataclass(frozen=True, slots=True)
class TextOptions:
    """Options for text normalization.

    English or Chinese as `language` counts if the text does not show which of the two it is, for example if it has
    digits only. Any other language counts for the whole text: its numbers are read in it. `emoji` removes emoji
    ("drop") or reads their names ("name"). `code_blocks` reads fenced code ("read") or removes it ("skip"). Without
    `normalize`, only characters that a model cannot process are changed, and words of the `lexicon`.
    """

    language: Language | None = None
    emoji: Literal["drop", "name"] = "drop"
    code_blocks: Literal["read", "skip"] = "read"
    normalize: bool = True
    lexicon: Lexicon = NO_LEXICON
    split: Split = "sentence"


DEFAULT = TextOptions()
