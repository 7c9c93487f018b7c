"""What a caller may choose about how a text is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How to read a text.

    `language` decides where the text does not, as in one of digits only. `emoji` leaves emoji out ("drop") or
    says their names ("name"). `code_blocks` says whether fenced code is read ("read") or left out ("skip").
    Without `normalize` the text is spoken as it came: only what no model could take is mended.
    """

    language: Language | None = None
    emoji: Literal["drop", "name"] = "drop"
    code_blocks: Literal["read", "skip"] = "read"
    normalize: bool = True


DEFAULT = TextOptions()
