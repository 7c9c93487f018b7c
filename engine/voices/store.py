"""The voice store: voices, the samples of cloned voices, and the tokens that each model made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.exc import IntegrityError

from engine.errors import EngineError, NotOwner, UnknownConsent, UnknownVoice, VoiceExists
from engine.types import Caller, CreatedVoiceTokens, Recording, Sample, Voice, VoiceAttributes, VoiceTokens
from engine.voices.database import Database
from engine.voices.rows import (
    attributes_key,
    read_created_tokens,
    read_tokens,
    read_voice,
    write_created_tokens,
    write_tokens,
)
from engine.voices.tables import ConsentRow, CreatedTokensRow, SampleRow, VoiceRow, VoiceTokensRow

Row = TypeVar("Row", VoiceRow, ConsentRow)


class VoiceStore:
    """Every method is one short transaction and blocks: call it in a thread.

    A `caller` sees the shared voices and its own, and may change only its own. None is the operator, who may see and
    change all. For a caller, a voice that it may not see does not exist.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, voice: Voice, sample: Sample | None = None, tokens: Mapping[str, VoiceTokens] | None = None) -> None:
        """Save a new voice, with its sample and its tokens by model; raises VoiceExists or UnknownConsent."""
        row = VoiceRow(
            id=voice.id,
            owner=voice.owner,
            namespace=voice.namespace,
            name=voice.name,
            created_at=voice.created_at,
            attributes=attributes_key(voice.attributes) if voice.attributes else None,
            transcript=voice.transcript,
            consent=voice.consent,
        )
        try:
            with self._database.writing() as session:
                if voice.consent:
                    consent = session.get(ConsentRow, voice.consent, with_for_update=True)
                    owned(consent, voice.owner, UnknownConsent(voice.consent))
                session.add(row)
                session.flush()
                if sample:
                    recording = sample.recording
                    session.add(
                        SampleRow(
                            voice=voice.id,
                            sha256=hashlib.sha256(recording.data).hexdigest(),
                            media_type=recording.media_type,
                            cut=sample.cut,
                            data=recording.data,
                        )
                    )
                session.add_all(write_tokens(voice.id, model, made) for model, made in (tokens or {}).items())
        except IntegrityError as error:
            raise VoiceExists(voice.name) from error

    def page(self, caller: Caller, after: str | None, limit: int) -> list[Voice]:
        """At most `limit` voices that the caller sees, oldest first, starting after the id `after`."""
        query = select(VoiceRow).where(_visible(caller)).order_by(VoiceRow.id).limit(limit)
        if after is not None:
            query = query.where(VoiceRow.id > after)
        with self._database.reading() as session:
            return [read_voice(row) for row in session.scalars(query)]

    def find(self, name_or_id: str, caller: Caller) -> Voice:
        """The voice with this id or name; the caller's private voice comes before a shared one. Raises UnknownVoice."""
        wanted = (VoiceRow.id == name_or_id) | (VoiceRow.name == name_or_id)
        order = (VoiceRow.id == name_or_id).desc(), (VoiceRow.namespace != "").desc(), VoiceRow.id
        return self._one(select(VoiceRow).where(wanted, _visible(caller)).order_by(*order).limit(1), name_or_id)

    def is_taken(self, namespace: str, name: str) -> bool:
        """Whether a voice in this namespace has this name."""
        query = select(VoiceRow.id).where(VoiceRow.namespace == namespace, VoiceRow.name == name)
        with self._database.reading() as session:
            return session.scalar(query) is not None

    def get(self, voice_id: str, caller: Caller) -> Voice:
        """The voice with this id; raises UnknownVoice."""
        return self._one(select(VoiceRow).where(VoiceRow.id == voice_id, _visible(caller)), voice_id)

    def change(self, voice_id: str, caller: Caller, name: str | None, transcript: str | None) -> Voice:
        """Change the name or the transcript of a voice. None keeps the old value; an empty transcript removes it.

        Raises UnknownVoice, NotOwner or VoiceExists.
        """
        try:
            with self._database.writing() as session:
                row = owned(session.get(VoiceRow, voice_id, with_for_update=True), caller, UnknownVoice(voice_id))
                row.name = row.name if name is None else name
                row.transcript = row.transcript if transcript is None else transcript or None
            return read_voice(row)
        except IntegrityError as error:
            raise VoiceExists(name or "") from error

    def delete(self, voice_id: str, caller: Caller) -> None:
        """Delete a voice, its sample and its tokens; raises UnknownVoice or NotOwner."""
        with self._database.writing() as session:
            session.delete(owned(session.get(VoiceRow, voice_id, with_for_update=True), caller, UnknownVoice(voice_id)))

    def sample(self, voice_id: str) -> Sample:
        """The sample of a voice; raises UnknownVoice if there is none."""
        with self._database.reading() as session:
            row = session.get(SampleRow, voice_id)
        if row is None:
            raise UnknownVoice(voice_id)
        return Sample(Recording(row.data, row.media_type), row.cut)

    def tokens(self, voice: Voice, model: str) -> VoiceTokens | None:
        """The tokens that this model made of the voice; None if it made none yet."""
        with self._database.reading() as session:
            row = session.get(VoiceTokensRow, (voice.id, model))
        return read_tokens(row, voice.attributes) if row else None

    def tokens_by_model(self, voice: Voice) -> dict[str, VoiceTokens]:
        """The tokens that each model made of the voice."""
        query = select(VoiceTokensRow).where(VoiceTokensRow.voice == voice.id)
        with self._database.reading() as session:
            rows = session.scalars(query).all()
        return {row.model: read_tokens(row, voice.attributes) for row in rows}

    def save_tokens(self, voice: Voice, model: str, tokens: VoiceTokens) -> VoiceTokens:
        """Save the tokens that this model made of the voice. Returns the saved ones: those of the first process.

        Raises UnknownVoice if the voice was deleted meanwhile.
        """
        try:
            with self._database.writing() as session:
                session.add(write_tokens(voice.id, model, tokens))
        except IntegrityError as error:
            if saved := self.tokens(voice, model):
                return saved
            raise UnknownVoice(voice.id) from error
        return tokens

    def created_tokens(self, model: str, attributes: VoiceAttributes) -> CreatedVoiceTokens | None:
        """The tokens that this model created from these attributes; None if it created none yet."""
        with self._database.reading() as session:
            row = session.get(CreatedTokensRow, (model, attributes_key(attributes)))
        return read_created_tokens(row, attributes) if row else None

    def save_created_tokens(self, model: str, tokens: CreatedVoiceTokens) -> CreatedVoiceTokens:
        """Save the tokens of a created voice. Returns the saved ones: those of the first process."""
        try:
            with self._database.writing() as session:
                session.add(write_created_tokens(model, tokens))
        except IntegrityError:
            return self.created_tokens(model, tokens.attributes) or tokens
        return tokens

    def _one(self, query: Select[VoiceRow], asked: str) -> Voice:
        with self._database.reading() as session:
            row = session.scalars(query).first()
        if row is None:
            raise UnknownVoice(asked)
        return read_voice(row)


def owned(row: Row | None, caller: Caller, unknown: EngineError) -> Row:
    """The row, if the caller owns it; else raises `unknown`, or NotOwner if the caller may see the voice."""
    if row is None:
        raise unknown
    if caller not in (None, row.owner):
        raise NotOwner(row.name) if isinstance(row, VoiceRow) and not row.namespace else unknown
    return row


def _visible(caller: Caller) -> ColumnElement[bool]:
    return true() if caller is None else VoiceRow.namespace.in_(("", caller))
