"""Ids and names of voices and consents, and pages of their lists."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import InvalidRequest
from engine.types import Consent, Voice

Item = TypeVar("Item", Voice, Consent)

LONGEST_NAME = 256  # characters
LONGEST_PREFIX = 64
LANGUAGE_TAG = "[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,6}"  # BCP 47


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list, and whether the list continues."""

    items: list[Item]
    more: bool

    @property
    def first_id(self) -> str | None:
        """The id of the first item."""
        return self.items[0].id if self.items else None

    @property
    def last_id(self) -> str | None:
        """The id of the last item, after which the list continues."""
        return self.items[-1].id if self.items else None

    @classmethod
    def of(cls, items: list[Item], limit: int) -> Page[Item]:
        """The first `limit` of `items`; the list continues if there are more."""
        return cls(items[:limit], len(items) > limit)


def new_id(prefix: str) -> str:
    """An id that cannot be guessed and that sorts after all earlier ids."""
    return f"{prefix}{time.time_ns():016x}{secrets.token_hex(8)}"


def clean_name(name: str) -> str:
    """The name in the form that is saved; raises InvalidRequest if it looks like a path or cannot be shown."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidRequest(f"A name must have 1 to {LONGEST_NAME} characters.", "name")
    if not is_plain(name):
        raise InvalidRequest("A name must have no slashes, backslashes or control characters.", "name")
    return name


def check_language(language: str) -> str:
    """The language; raises InvalidRequest if it is not a BCP 47 tag."""
    if not re.fullmatch(LANGUAGE_TAG, language):
        raise InvalidRequest(
            f"{language!r} is not a BCP 47 language tag. Send a tag such as en-US or zh-CN.", "language"
        )
    return language


def clean_prefix(prefix: str) -> str:
    """The name of a speaker before a text, without the colon that follows it; raises InvalidRequest if it is none."""
    prefix = unicodedata.normalize("NFC", prefix).strip().removesuffix(":").rstrip()
    if len(prefix) > LONGEST_PREFIX or not is_plain(prefix):
        raise InvalidRequest(
            f"text_prefix is the name of a speaker, such as 243: at most {LONGEST_PREFIX} characters, without slashes.",
            "text_prefix",
        )
    return prefix


def is_plain(text: str) -> bool:
    """Whether a text has no slashes and no characters that a database or a terminal cannot show."""
    return not any(char in "/\\" or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def check_cursor(after: str, prefix: str) -> None:
    """Raise InvalidRequest unless `after` can be the id of an item."""
    if not (after.startswith(prefix) and is_plain(after)):
        raise InvalidRequest(f"after must be the id of the last item of a list ({prefix}...), not {after!r}.", "after")
