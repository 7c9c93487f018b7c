"""The voice store: voices, the samples of cloned voices, and the tokens that each model made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, delete, select, true
from sqlalchemy.exc import IntegrityError

from engine.errors import EngineError, NotOwner, StoreFailed, UnknownConsent, UnknownVoice, VoiceExists
from engine.types import Caller, CreatedVoiceTokens, Recording, Sample, Voice, VoiceAttributes, VoiceTokens
from engine.voices.database import Database
from engine.voices.rates import digest
from engine.voices.rows import (
    attributes_key,
    read_created_tokens,
    read_page,
    read_row,
    read_tokens,
    read_voice,
    write_created_tokens,
    write_tokens,
)
from engine.voices.tables import ConsentRow, CreatedTokensRow, SampleRow, VoiceRateRow, VoiceRow, VoiceTokensRow

Row = TypeVar("Row", VoiceRow, ConsentRow)
TokensRow = TypeVar("TokensRow", VoiceTokensRow, CreatedTokensRow)
Tokens = TypeVar("Tokens", bound=VoiceTokens)


GIVEN = "given"
"""Stands for a model in the tokens that a user gave: they are for all models."""


class VoiceStore:
    """Every method is one short transaction and blocks: call it in a thread.

    A `caller` sees the shared voices and its own, and may change only its own. None is the operator, who may see and
    change all. For a caller, a voice that it may not see does not exist.

    A damaged voice does not exist either, except that it can be deleted; the log names it. Damaged tokens count as
    missing. `check` raises ValueError for tokens that the model cannot use; they count as damaged.
    """

    def __init__(self, database: Database, check: Callable[[VoiceTokens], None] = lambda tokens: None) -> None:
        self._database = database
        self._check = check

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
            from_tokens=voice.from_tokens,
            text_prefix=voice.text_prefix or None,
            language=voice.language,
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
        with self._database.reading() as session:
            return read_page(session, VoiceRow, select(VoiceRow).where(_visible(caller)), after, limit, read_voice)

    def find(self, name_or_id: str, caller: Caller) -> Voice:
        """The voice with this id or name; the caller's private voice comes before a shared one. Raises UnknownVoice."""
        wanted = (VoiceRow.id == name_or_id) | (VoiceRow.name == name_or_id)
        order = (VoiceRow.id == name_or_id).desc(), (VoiceRow.namespace != "").desc(), VoiceRow.id
        return self._one(select(VoiceRow).where(wanted, _visible(caller)).order_by(*order).limit(1), name_or_id)

    def find_in_any_case(self, name: str, caller: Caller) -> Voice:
        """The voice with this name in another case: the caller's private voice before a shared one, the oldest first.

        Raises UnknownVoice. The database does not compare the names, because SQLite knows the case of ASCII only.
        """
        query = select(VoiceRow.id, VoiceRow.name).where(_visible(caller))
        with self._database.reading() as session:
            rows = session.execute(query.order_by((VoiceRow.namespace != "").desc(), VoiceRow.id))
            found = next((row.id for row in rows if str(row.name).casefold() == name.casefold()), None)
        if found is None:
            raise UnknownVoice(name)
        return self.get(found, caller)

    def is_taken(self, namespace: str, name: str) -> bool:
        """Whether a voice in this namespace has this name."""
        query = select(VoiceRow.id).where(VoiceRow.namespace == namespace, VoiceRow.name == name)
        with self._database.reading() as session:
            return session.scalar(query) is not None

    def get(self, voice_id: str, caller: Caller) -> Voice:
        """The voice with this id; raises UnknownVoice."""
        return self._one(select(VoiceRow).where(VoiceRow.id == voice_id, _visible(caller)), voice_id)

    def change(
        self, voice_id: str, caller: Caller, name: str | None, transcript: str | None, language: str | None = None
    ) -> Voice:
        """Change a voice. None keeps the old value; an empty transcript or language removes it.

        Raises UnknownVoice, NotOwner or VoiceExists.
        """
        try:
            with self._database.writing() as session:
                row = owned(session.get(VoiceRow, voice_id, with_for_update=True), caller, UnknownVoice(voice_id))
                row.name = row.name if name is None else name
                row.transcript = row.transcript if transcript is None else transcript or None
                row.language = row.language if language is None else language or None
                if (changed := read_row(row, read_voice)) is None:
                    raise UnknownVoice(voice_id)
            return changed
        except IntegrityError as error:
            raise VoiceExists(name or "") from error

    def delete(self, voice_id: str, caller: Caller) -> None:
        """Delete a voice, its sample and its tokens; raises UnknownVoice or NotOwner."""
        tokens = select(VoiceTokensRow).where(VoiceTokensRow.voice == voice_id)
        with self._database.writing() as session:
            row = owned(session.get(VoiceRow, voice_id, with_for_update=True), caller, UnknownVoice(voice_id))
            digests = [digest(made.global_tokens, made.prompt_tokens) for made in session.scalars(tokens)]
            session.execute(delete(VoiceRateRow).where(VoiceRateRow.voice.in_(digests)))
            session.delete(row)

    def sample(self, voice_id: str) -> Sample:
        """The sample of a voice; raises UnknownVoice if there is none, or StoreFailed if it is damaged."""
        with self._database.reading() as session:
            row = session.get(SampleRow, voice_id)
        if row is None:
            raise UnknownVoice(voice_id)
        if hashlib.sha256(row.data).hexdigest() != row.sha256:
            raise StoreFailed(f"The sample of the voice {voice_id} is damaged. Delete the voice and make it again.")
        return Sample(Recording(row.data, row.media_type), row.cut)

    def tokens(self, voice: Voice, model: str) -> VoiceTokens | None:
        """The tokens that a user gave or that this model made of the voice; None if it made none yet."""
        with self._database.reading() as session:
            row = session.get(VoiceTokensRow, (voice.id, GIVEN if voice.from_tokens else model))
        return self._read(row, partial(read_tokens, attributes=voice.attributes))

    def tokens_by_model(self, voice: Voice) -> dict[str, VoiceTokens]:
        """The tokens that each model made of the voice."""
        query = select(VoiceTokensRow).where(VoiceTokensRow.voice == voice.id)
        with self._database.reading() as session:
            rows = session.scalars(query).all()
        read = partial(read_tokens, attributes=voice.attributes)
        return {row.model: tokens for row in rows if (tokens := self._read(row, read))}

    def save_tokens(self, voice: Voice, model: str, tokens: VoiceTokens) -> VoiceTokens:
        """Save the tokens that this model made of the voice, or return those that another process saved before.

        Raises UnknownVoice if the voice was deleted meanwhile.
        """
        try:
            with self._database.writing() as session:
                row = session.get(VoiceTokensRow, (voice.id, model), with_for_update=True)
                if saved := self._read(row, partial(read_tokens, attributes=voice.attributes)):
                    return saved
                session.merge(write_tokens(voice.id, model, tokens))
        except IntegrityError as error:
            if saved := self.tokens(voice, model):
                return saved
            raise UnknownVoice(voice.id) from error
        return tokens

    def created_tokens(self, model: str, attributes: VoiceAttributes) -> CreatedVoiceTokens | None:
        """The tokens that this model created from these attributes; None if it created none yet."""
        with self._database.reading() as session:
            row = session.get(CreatedTokensRow, (model, attributes_key(attributes)))
        return self._read(row, partial(read_created_tokens, attributes=attributes))

    def creating(self, model: str, attributes: VoiceAttributes) -> AbstractContextManager[bool]:
        """A context that tells whether no other process creates this voice; see `Database.lock`."""
        return self._database.lock(f"fast-spark create {model} {attributes_key(attributes)}")

    def save_created_tokens(self, model: str, tokens: CreatedVoiceTokens) -> CreatedVoiceTokens:
        """Save the tokens of a created voice, or return those that another process saved before."""
        try:
            with self._database.writing() as session:
                key = (model, attributes_key(tokens.attributes))
                row = session.get(CreatedTokensRow, key, with_for_update=True)
                if saved := self._read(row, partial(read_created_tokens, attributes=tokens.attributes)):
                    return saved
                session.merge(write_created_tokens(model, tokens))
        except IntegrityError:
            return self.created_tokens(model, tokens.attributes) or tokens
        return tokens

    def _read(self, row: TokensRow | None, read: Callable[[TokensRow], Tokens]) -> Tokens | None:
        """The tokens of a row; None if there is no row or it is damaged."""

        def checked(row: TokensRow) -> Tokens:
            tokens = read(row)
            self._check(tokens)
            return tokens

        return None if row is None else read_row(row, checked)

    def _one(self, query: Select[VoiceRow], asked: str) -> Voice:
        with self._database.reading() as session:
            row = session.scalars(query).first()
        if row is None or (voice := read_row(row, read_voice)) is None:
            raise UnknownVoice(asked)
        return voice


def owned(row: Row | None, caller: Caller, unknown: EngineError) -> Row:
    """The row, if the caller owns it; else raises `unknown`, or NotOwner if the caller may see the voice."""
    if row is None:
        raise unknown
    if caller not in (None, row.owner):
        raise NotOwner(row.name) if isinstance(row, VoiceRow) and not row.namespace else unknown
    return row


def _visible(caller: Caller) -> ColumnElement[bool]:
    return true() if caller is None else VoiceRow.namespace.in_(("", caller))
