"""The voice store: voices made from samples, and the tokens of created ones, in SQLite or PostgreSQL."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sqlalchemy import LargeBinary, String, create_engine, delete, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from engine.errors import EngineError, UnknownVoice, VoiceExists
from engine.types import TokenIds, Voice, VoiceAttributes, VoiceTokens


class Base(DeclarativeBase):
    """The store's tables."""


class SampledVoice(Base):
    """A voice that was made from an uploaded sample."""

    __tablename__ = "voices"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(256), unique=True)
    created_at: Mapped[int]
    sample: Mapped[bytes] = mapped_column(LargeBinary)
    transcript: Mapped[str | None]
    model: Mapped[str] = mapped_column(String(64))
    global_tokens: Mapped[bytes] = mapped_column(LargeBinary)
    semantic_tokens: Mapped[bytes] = mapped_column(LargeBinary)

    def tokens(self) -> VoiceTokens:
        """What the models need; the sample's semantic tokens only if its transcript is known."""
        semantic = _unpack(self.semantic_tokens) if self.transcript else None
        return VoiceTokens(_unpack(self.global_tokens), transcript=self.transcript, semantic_tokens=semantic)


class CreatedVoice(Base):
    """The tokens that a model gave to a set of attributes; kept, so that the voice stays the same."""

    __tablename__ = "created_voices"

    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    attributes: Mapped[str] = mapped_column(String(256), primary_key=True)
    acoustic_ids: Mapped[bytes] = mapped_column(LargeBinary)
    global_tokens: Mapped[bytes] = mapped_column(LargeBinary)


class VoiceStore:
    """Every method is one short transaction and blocks: call it in a thread."""

    def __init__(self, url: str) -> None:
        """Open the database and make its tables; raises EngineError if it cannot be opened."""
        try:
            self._engine = create_engine(url)
            Base.metadata.create_all(self._engine)
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise EngineError(f"The voice store at {url} cannot be opened: {error}") from error
        self._session = sessionmaker(self._engine, expire_on_commit=False)

    @classmethod
    def in_directory(cls, directory: Path) -> VoiceStore:
        """The store in a SQLite file of this directory, which is made if it is missing."""
        directory.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{directory / 'voices.db'}")

    def add(
        self,
        name: str,
        sample: bytes,
        transcript: str | None,
        model: str,
        tokens: tuple[TokenIds, TokenIds],
    ) -> Voice:
        """Keep a new voice; raises VoiceExists if the name is taken."""
        row = SampledVoice(
            id=f"voice_{secrets.token_hex(12)}",
            name=name,
            created_at=int(time.time()),
            sample=sample,
            transcript=transcript,
            model=model,
            global_tokens=_pack(tokens[0]),
            semantic_tokens=_pack(tokens[1]),
        )
        try:
            with self._session.begin() as session:
                session.add(row)
                session.flush()
                return Voice(row.id, row.name, row.created_at)
        except IntegrityError as error:
            raise VoiceExists(name) from error

    def list(self) -> list[Voice]:
        """All voices made from samples, the oldest first."""
        columns = (SampledVoice.id, SampledVoice.name, SampledVoice.created_at)
        with self._session() as session:
            rows = session.execute(select(*columns).order_by(SampledVoice.created_at, SampledVoice.id))
            return [Voice(*row) for row in rows]

    def get(self, name_or_id: str) -> SampledVoice:
        """The voice of this name or id; raises UnknownVoice."""
        wanted = (SampledVoice.id == name_or_id) | (SampledVoice.name == name_or_id)
        with self._session() as session:
            row = session.scalars(select(SampledVoice).where(wanted)).first()
        if row is None:
            raise UnknownVoice(name_or_id)
        return row

    def reencoded(self, voice_id: str, model: str, tokens: tuple[TokenIds, TokenIds]) -> SampledVoice:
        """Replace a voice's tokens by those of another model; raises UnknownVoice if it was deleted meanwhile."""
        with self._session.begin() as session:
            row = session.get(SampledVoice, voice_id)
            if row is None:
                raise UnknownVoice(voice_id)
            row.model, row.global_tokens, row.semantic_tokens = model, _pack(tokens[0]), _pack(tokens[1])
        return row

    def delete(self, voice_id: str) -> None:
        """Remove a voice; raises UnknownVoice."""
        with self._session.begin() as session:
            removed = session.scalars(
                delete(SampledVoice).where(SampledVoice.id == voice_id).returning(SampledVoice.id)
            ).all()
        if not removed:
            raise UnknownVoice(voice_id)

    def created(self, model: str, attributes: VoiceAttributes) -> VoiceTokens | None:
        """The tokens of a created voice, if this model has made it before."""
        with self._session() as session:
            row = session.get(CreatedVoice, (model, _key(attributes)))
        if row is None:
            return None
        acoustic = tuple(_unpack(row.acoustic_ids).tolist())
        return VoiceTokens(_unpack(row.global_tokens), attributes, acoustic)

    def keep_created(self, model: str, tokens: VoiceTokens) -> None:
        """Keep the tokens of a created voice."""
        assert tokens.attributes is not None
        row = CreatedVoice(
            model=model,
            attributes=_key(tokens.attributes),
            acoustic_ids=_pack(tokens.acoustic_ids),
            global_tokens=_pack(tokens.global_tokens),
        )
        with self._session.begin() as session:
            session.merge(row)

    def close(self) -> None:
        """Close the database's connections."""
        self._engine.dispose()


def _key(attributes: VoiceAttributes) -> str:
    return json.dumps(asdict(attributes), sort_keys=True)


def _pack(tokens: TokenIds | Sequence[int]) -> bytes:
    return np.asarray(tokens, "<i4").tobytes()


def _unpack(data: bytes) -> TokenIds:
    return np.frombuffer(data, "<i4").astype(np.int64)
