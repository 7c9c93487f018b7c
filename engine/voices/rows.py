"""Converts rows of the voice store to the engine's objects, and checks them: a database file can hold anything."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, inspect
from sqlalchemy.orm import Session

from engine.types import ClonedVoiceTokens, Consent, CreatedVoiceTokens, TokenIds, Voice, VoiceAttributes, VoiceTokens
from engine.voices.tables import Base, ConsentRow, CreatedTokensRow, VoiceRow, VoiceTokensRow

Row = TypeVar("Row", bound=Base)
Listed = TypeVar("Listed", VoiceRow, ConsentRow)
Item = TypeVar("Item")

logger = logging.getLogger(__name__)

_ATTRIBUTES = TypeAdapter(VoiceAttributes)
_VOICE = TypeAdapter(Voice)
_CONSENT = TypeAdapter(Consent)


def read_row(row: Row, read: Callable[[Row], Item]) -> Item | None:
    """The result of `read`; None if the row is damaged, which is logged."""
    try:
        return read(row)
    except ValueError as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = f"{'.'.join(map(str, first['loc']))} {first['msg']}".strip() if first else error
        key = ", ".join(map(str, inspect(row, raiseerr=True).identity or ()))
        logger.warning("The row %r in table %s is damaged and is ignored: %s", key, row.__tablename__, reason)
        return None


def read_page(
    session: Session,
    table: type[Listed],
    query: Select[Listed],
    after: str | None,
    limit: int,
    read: Callable[[Listed], Item],
) -> list[Item]:
    """At most `limit` items in the order of their ids, starting after the id `after`, without damaged rows."""
    items: list[Item] = []
    while (wanted := limit - len(items)) > 0:
        page = query.order_by(table.id).limit(wanted)
        rows = session.scalars(page if after is None else page.where(table.id > after)).all()
        items += [item for row in rows if (item := read_row(row, read)) is not None]
        if len(rows) < wanted:
            break
        after = rows[-1].id
    return items


def attributes_key(attributes: VoiceAttributes) -> str:
    """The attributes as the store writes them, as JSON with sorted keys."""
    return json.dumps(asdict(attributes), sort_keys=True)


def read_voice(row: VoiceRow) -> Voice:
    """The voice of a row; raises ValueError if the row is damaged."""
    fields = _fields(row, "id", "name", "created_at", "owner", "transcript", "consent", "from_tokens", "language")
    attributes = None if row.attributes is None else _ATTRIBUTES.validate_json(row.attributes)
    fields |= {"attributes": attributes, "private": row.namespace != ""}
    return _VOICE.validate_python(fields | {"text_prefix": _fields(row, "text_prefix")["text_prefix"] or ""})


def read_consent(row: ConsentRow) -> Consent:
    """The consent of a row; raises ValueError if the row is damaged."""
    return _CONSENT.validate_python(_fields(row, "id", "name", "language", "created_at"))


def write_tokens(voice_id: str, model: str, tokens: VoiceTokens) -> VoiceTokensRow:
    """The row for the tokens of a voice."""
    global_tokens, prompt = pack(tokens.global_tokens), pack(prompt_tokens(tokens))
    return VoiceTokensRow(voice=voice_id, model=model, global_tokens=global_tokens, prompt_tokens=prompt)


def read_tokens(row: VoiceTokensRow, attributes: VoiceAttributes | None) -> VoiceTokens:
    """The tokens of a row, of a created voice if there are attributes; raises ValueError if the row is damaged."""
    return voice_tokens(_unpack(row.global_tokens), _unpack(row.prompt_tokens), attributes)


def write_created_tokens(model: str, tokens: CreatedVoiceTokens) -> CreatedTokensRow:
    """The row for tokens that are found by their attributes."""
    return CreatedTokensRow(
        model=model,
        attributes=attributes_key(tokens.attributes),
        acoustic_ids=pack(tokens.acoustic_ids),
        global_tokens=pack(tokens.global_tokens),
    )


def read_created_tokens(row: CreatedTokensRow, attributes: VoiceAttributes) -> CreatedVoiceTokens:
    """The tokens of a row; raises ValueError if the row is damaged."""
    return CreatedVoiceTokens(_unpack(row.global_tokens), attributes, tuple(_unpack(row.acoustic_ids).tolist()))


def prompt_tokens(tokens: VoiceTokens) -> TokenIds:
    """The tokens of a voice that are saved beside the global ones: its semantic tokens or its acoustic ids."""
    if isinstance(tokens, CreatedVoiceTokens):
        return np.array(tokens.acoustic_ids, np.int64)
    return tokens.semantic_tokens


def voice_tokens(global_tokens: TokenIds, prompt: TokenIds, attributes: VoiceAttributes | None) -> VoiceTokens:
    """The tokens of a voice, created if there are attributes; raises ValueError if the shape is wrong."""
    if attributes:
        return CreatedVoiceTokens(global_tokens, attributes, tuple(prompt.tolist()))
    return ClonedVoiceTokens(global_tokens, prompt)


def _fields(row: Base, *names: str) -> dict[str, object]:
    """Columns of a row by name; raises ValueError if the file had text in them that is not UTF-8."""
    fields = {name: getattr(row, name) for name in names}
    for value in fields.values():
        if isinstance(value, str):
            value.encode()  # refuses what `surrogateescape` has decoded
    return fields


def pack(tokens: TokenIds | Sequence[int]) -> bytes:
    """Tokens as the store writes them."""
    return np.asarray(tokens, "<i4").tobytes()


def _unpack(data: bytes) -> TokenIds:
    return np.frombuffer(data, "<i4").astype(np.int64)
