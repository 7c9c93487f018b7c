"""What kind of text a request has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

InputFormat = Literal["text", "ssml", "dialogue"]
"""What a text is: plain text with `[pause:1.5s]`, SSML, or lines of `NAME: what they say`. It is never guessed."""


@dataclass(frozen=True, slots=True)
class Format:
    """How to read the text of a request.

    `voices` are the voices of a dialogue's speakers, by their names. With `roles_only`, its turns begin with
    `<role:NAME>` only, as FlashTTS's do: a line of `Note: ...` is a part of the turn.
    """

    kind: InputFormat = "text"
    voices: Mapping[str, str] = field(default_factory=dict)
    roles_only: bool = False
