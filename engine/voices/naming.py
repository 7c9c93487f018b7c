"""Ids and names of what is kept, and pages of lists of it."""

from __future__ import annotations

import secrets
import time
import unicodedata
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import InvalidRequest
from engine.types import Consent, Voice

Item = TypeVar("Item", Voice, Consent)

LONGEST_NAME = 256  # characters


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list, and whether there is more behind it."""

    items: list[Item]
    more: bool

    @property
    def first_id(self) -> str | None:
        """The id that it begins with."""
        return self.items[0].id if self.items else None

    @property
    def last_id(self) -> str | None:
        """The id behind which the list goes on."""
        return self.items[-1].id if self.items else None

    @classmethod
    def of(cls, items: list[Item], limit: int) -> Page[Item]:
        """The first `limit` of `items`, of which there are more if the list goes on."""
        return cls(items[:limit], len(items) > limit)


def new_id(prefix: str) -> str:
    """An id that nobody can guess, and that sorts behind those that were made before."""
    return f"{prefix}{time.time_ns():016x}{secrets.token_hex(8)}"


def clean_name(name: str) -> str:
    """The name as it is kept; raises InvalidRequest if it could be taken for a path or cannot be shown."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidRequest(f"A name has 1 to {LONGEST_NAME} characters.", "name")
    if not is_plain(name):
        raise InvalidRequest("A name has no slashes, backslashes or control characters.", "name")
    return name


def is_plain(text: str) -> bool:
    """Whether a text is neither a path nor a URL, and holds nothing that a database or a terminal trips over."""
    return not any(char in "/\\" or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def check_cursor(after: str, prefix: str) -> None:
    """Raise InvalidRequest unless `after` can be an id, behind which a list goes on."""
    if not (after.startswith(prefix) and is_plain(after)):
        raise InvalidRequest(f"after has the id of what a list ended with ({prefix}...), not {after!r}.", "after")
