"""The tables of the voice store. A change here needs a migration in `migrations/versions`; a test compares the two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Dialect, Float, ForeignKey, LargeBinary, MetaData, String, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base class of the tables. Constraints have names, so that a migration can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )


class Blob(LargeBinary):
    """Bytes. SQLite can return a text or a number from such a column, which must not make the query fail."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], bytes | None]:
        """Convert every value of the driver to bytes."""

        def to_bytes(value: Any) -> bytes | None:  # noqa: ANN401 - whatever the driver returns
            if isinstance(value, str | int | float):
                return str(value).encode("utf-8", "surrogateescape")
            return None if value is None else bytes(value)

        return to_bytes


class ConsentRow(Base):
    """A recording in which a speaker agrees to the use of their voice."""

    __tablename__ = "consents"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(256))
    language: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(64))
    recording: Mapped[bytes] = mapped_column(Blob, deferred=True)


class VoiceRow(Base):
    """A voice without its sample and tokens. `namespace` is the owner of a private voice, else empty."""

    __tablename__ = "voices"
    __table_args__ = (UniqueConstraint("namespace", "name"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    namespace: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(256))
    created_at: Mapped[int] = mapped_column(BigInteger)
    attributes: Mapped[str | None] = mapped_column(String(256))
    transcript: Mapped[str | None] = mapped_column(String(4096))
    consent: Mapped[str | None] = mapped_column(ForeignKey("consents.id", ondelete="SET NULL"), index=True)
    from_tokens: Mapped[bool] = mapped_column(server_default=false())
    text_prefix: Mapped[str | None] = mapped_column(String(64))
    language: Mapped[str | None] = mapped_column(String(64))


class SampleRow(Base):
    """The uploaded sample of a voice; `cut` if only its beginning was used."""

    __tablename__ = "samples"

    voice: Mapped[str] = mapped_column(ForeignKey("voices.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(64))
    cut: Mapped[bool]
    data: Mapped[bytes] = mapped_column(Blob)


class VoiceTokensRow(Base):
    """The tokens that a model made of a voice, or that a user gave, for all models.

    `prompt_tokens` are the semantic tokens of a sample, or the acoustic ids of a created voice.
    """

    __tablename__ = "voice_tokens"

    voice: Mapped[str] = mapped_column(ForeignKey("voices.id", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    global_tokens: Mapped[bytes] = mapped_column(Blob)
    prompt_tokens: Mapped[bytes] = mapped_column(Blob)


class CreatedTokensRow(Base):
    """The tokens that a model created from attributes. They are saved so that a built-in voice never changes."""

    __tablename__ = "created_tokens"

    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    attributes: Mapped[str] = mapped_column(String(256), primary_key=True)
    acoustic_ids: Mapped[bytes] = mapped_column(Blob)
    global_tokens: Mapped[bytes] = mapped_column(Blob)


class VoiceRateRow(Base):
    """How fast a voice speaks with a model: its lengths, divided by the estimates of them; 0 if that is not known.

    `voice` is a digest of its tokens. `script` is what was spoken: `zh` or `en`.
    """

    __tablename__ = "voice_rates"

    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    voice: Mapped[str] = mapped_column(String(64), primary_key=True)
    script: Mapped[str] = mapped_column(String(8), primary_key=True)
    rate: Mapped[float] = mapped_column(Float)
