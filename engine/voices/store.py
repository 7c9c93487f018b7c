"""The voice store: voices, the samples of those that have one, and the tokens that models made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TypeVar

import numpy as np
from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.exc import IntegrityError

from engine.errors import EngineError, NotOwner, UnknownConsent, UnknownVoice, VoiceExists
from engine.types import Caller, Recording, Sample, TokenIds, TokenPair, Voice, VoiceAttributes, VoiceTokens
from engine.voices.database import Database
from engine.voices.tables import ConsentRow, CreatedTokensRow, SampleRow, VoiceRow, VoiceTokensRow

Row = TypeVar("Row", VoiceRow, ConsentRow)


class VoiceStore:
    """Every method is one short transaction and blocks: call it in a thread.

    A `caller` uses the shared voices and its own, and changes only its own; None is the operator, who may all.
    What a caller may not see does not exist for it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, voice: Voice, sample: Sample | None = None, tokens: dict[str, TokenPair] | None = None) -> None:
        """Keep a new voice, with its sample and each model's tokens of it; raises VoiceExists or UnknownConsent."""
        row = VoiceRow(
            id=voice.id,
            owner=voice.owner,
            namespace=voice.namespace,
            name=voice.name,
            created_at=voice.created_at,
            attributes=_key(voice.attributes) if voice.attributes else None,
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
                session.add_all(_tokens_row(voice.id, model, made) for model, made in (tokens or {}).items())
        except IntegrityError as error:
            raise VoiceExists(voice.name) from error

    def page(self, caller: Caller, after: str | None, limit: int) -> list[Voice]:
        """At most `limit` voices that the caller sees, the oldest first, beginning behind the id `after`."""
        query = select(VoiceRow).where(_visible(caller)).order_by(VoiceRow.id).limit(limit)
        if after is not None:
            query = query.where(VoiceRow.id > after)
        with self._database.reading() as session:
            return [_voice(row) for row in session.scalars(query)]

    def find(self, name_or_id: str, caller: Caller) -> Voice:
        """The voice of this id or name, the caller's own before a shared one; raises UnknownVoice."""
        wanted = (VoiceRow.id == name_or_id) | (VoiceRow.name == name_or_id)
        order = (VoiceRow.id == name_or_id).desc(), (VoiceRow.namespace != "").desc(), VoiceRow.id
        return self._one(select(VoiceRow).where(wanted, _visible(caller)).order_by(*order).limit(1), name_or_id)

    def find_in_any_case(self, name: str, caller: Caller) -> Voice:
        """The voice whose name is this one in another case, the caller's own before a shared one, the oldest first.

        Raises UnknownVoice. Names are compared here and not by the database: SQLite knows the case of ASCII only.
        """
        query = select(VoiceRow.id, VoiceRow.name).where(_visible(caller))
        with self._database.reading() as session:
            rows = session.execute(query.order_by((VoiceRow.namespace != "").desc(), VoiceRow.id))
            found = next((row.id for row in rows if row.name.casefold() == name.casefold()), None)
        if found is None:
            raise UnknownVoice(name)
        return self.get(found, caller)

    def is_taken(self, namespace: str, name: str) -> bool:
        """Whether there is a voice of this name already, shared or of this owner."""
        query = select(VoiceRow.id).where(VoiceRow.namespace == namespace, VoiceRow.name == name)
        with self._database.reading() as session:
            return session.scalar(query) is not None

    def get(self, voice_id: str, caller: Caller) -> Voice:
        """The voice of this id; raises UnknownVoice."""
        return self._one(select(VoiceRow).where(VoiceRow.id == voice_id, _visible(caller)), voice_id)

    def change(self, voice_id: str, caller: Caller, name: str | None, transcript: str | None) -> Voice:
        """Give a voice another name or transcript; None leaves it, and an empty transcript removes it.

        Raises UnknownVoice, NotOwner or VoiceExists.
        """
        try:
            with self._database.writing() as session:
                row = owned(session.get(VoiceRow, voice_id, with_for_update=True), caller, UnknownVoice(voice_id))
                row.name = row.name if name is None else name
                row.transcript = row.transcript if transcript is None else transcript or None
            return _voice(row)
        except IntegrityError as error:
            raise VoiceExists(name or "") from error

    def delete(self, voice_id: str, caller: Caller) -> None:
        """Remove a voice and all that belongs to it; raises UnknownVoice or NotOwner."""
        with self._database.writing() as session:
            session.delete(owned(session.get(VoiceRow, voice_id, with_for_update=True), caller, UnknownVoice(voice_id)))

    def sample(self, voice_id: str) -> Sample:
        """The voice's sample; raises UnknownVoice if there is none."""
        with self._database.reading() as session:
            row = session.get(SampleRow, voice_id)
        if row is None:
            raise UnknownVoice(voice_id)
        return Sample(Recording(row.data, row.media_type), row.cut)

    def tokens(self, voice_id: str, model: str) -> TokenPair | None:
        """What this model made of the voice, if it had to speak in it before."""
        with self._database.reading() as session:
            row = session.get(VoiceTokensRow, (voice_id, model))
        return (_unpack(row.global_tokens), _unpack(row.prompt_tokens)) if row else None

    def tokens_by_model(self, voice_id: str) -> dict[str, TokenPair]:
        """What each model made of the voice."""
        query = select(VoiceTokensRow).where(VoiceTokensRow.voice == voice_id)
        with self._database.reading() as session:
            rows = session.scalars(query).all()
        return {row.model: (_unpack(row.global_tokens), _unpack(row.prompt_tokens)) for row in rows}

    def save_tokens(self, voice_id: str, model: str, tokens: TokenPair) -> TokenPair:
        """Keep what this model made of the voice, and return what is kept: what another process made first.

        Raises UnknownVoice if the voice was deleted meanwhile.
        """
        try:
            with self._database.writing() as session:
                session.add(_tokens_row(voice_id, model, tokens))
        except IntegrityError as error:
            if kept := self.tokens(voice_id, model):
                return kept
            raise UnknownVoice(voice_id) from error
        return tokens

    def created_tokens(self, model: str, attributes: VoiceAttributes) -> VoiceTokens | None:
        """The tokens of a created voice, if this model has made it before."""
        with self._database.reading() as session:
            row = session.get(CreatedTokensRow, (model, _key(attributes)))
        if row is None:
            return None
        acoustic = tuple(_unpack(row.acoustic_ids).tolist())
        return VoiceTokens(_unpack(row.global_tokens), attributes, acoustic)

    def save_created(self, model: str, tokens: VoiceTokens) -> VoiceTokens:
        """Keep the tokens of a created voice, and return what is kept: what another process made first."""
        assert tokens.attributes is not None
        row = CreatedTokensRow(
            model=model,
            attributes=_key(tokens.attributes),
            acoustic_ids=_pack(tokens.acoustic_ids),
            global_tokens=_pack(tokens.global_tokens),
        )
        try:
            with self._database.writing() as session:
                session.add(row)
        except IntegrityError:
            return self.created_tokens(model, tokens.attributes) or tokens
        return tokens

    def _one(self, query: Select[VoiceRow], asked: str) -> Voice:
        with self._database.reading() as session:
            row = session.scalars(query).first()
        if row is None:
            raise UnknownVoice(asked)
        return _voice(row)


def owned(row: Row | None, caller: Caller, unknown: EngineError) -> Row:
    """The row, if there is one that is the caller's; raises `unknown`, or NotOwner for a shared voice of others."""
    if row is None:
        raise unknown
    if caller not in (None, row.owner):
        raise NotOwner(row.name) if isinstance(row, VoiceRow) and not row.namespace else unknown
    return row


def _visible(caller: Caller) -> ColumnElement[bool]:
    return true() if caller is None else VoiceRow.namespace.in_(("", caller))


def _voice(row: VoiceRow) -> Voice:
    return Voice(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        attributes=VoiceAttributes(**json.loads(row.attributes)) if row.attributes else None,
        owner=row.owner,
        private=row.namespace != "",
        transcript=row.transcript,
        consent=row.consent,
    )


def _tokens_row(voice_id: str, model: str, tokens: TokenPair) -> VoiceTokensRow:
    return VoiceTokensRow(voice=voice_id, model=model, global_tokens=_pack(tokens[0]), prompt_tokens=_pack(tokens[1]))


def _key(attributes: VoiceAttributes) -> str:
    return json.dumps(asdict(attributes), sort_keys=True)


def _pack(tokens: TokenIds | Sequence[int]) -> bytes:
    return np.asarray(tokens, "<i4").tobytes()


def _unpack(data: bytes) -> TokenIds:
    return np.frombuffer(data, "<i4").astype(np.int64)
