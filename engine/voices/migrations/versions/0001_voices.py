"""Creates the tables of consents, voices, samples and tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "consents",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("language", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("media_type", sa.String(64), nullable=False),
        sa.Column("recording", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
    )
    op.create_index("ix_consents_owner", "consents", ["owner"])
    op.create_table(
        "voices",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("namespace", sa.String(64), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("attributes", sa.String(256)),
        sa.Column("transcript", sa.String(4096)),
        sa.Column("consent", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_voices"),
        sa.UniqueConstraint("namespace", "name", name="uq_voices_namespace_name"),
        sa.ForeignKeyConstraint(["consent"], ["consents.id"], name="fk_voices_consent", ondelete="SET NULL"),
    )
    op.create_index("ix_voices_consent", "voices", ["consent"])
    op.create_table(
        "samples",
        sa.Column("voice", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(64), nullable=False),
        sa.Column("cut", sa.Boolean, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("voice", name="pk_samples"),
        sa.ForeignKeyConstraint(["voice"], ["voices.id"], name="fk_samples_voice", ondelete="CASCADE"),
    )
    op.create_table(
        "voice_tokens",
        sa.Column("voice", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("global_tokens", sa.LargeBinary, nullable=False),
        sa.Column("prompt_tokens", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("voice", "model", name="pk_voice_tokens"),
        sa.ForeignKeyConstraint(["voice"], ["voices.id"], name="fk_voice_tokens_voice", ondelete="CASCADE"),
    )
    op.create_table(
        "created_tokens",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("attributes", sa.String(256), nullable=False),
        sa.Column("acoustic_ids", sa.LargeBinary, nullable=False),
        sa.Column("global_tokens", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("model", "attributes", name="pk_created_tokens"),
    )
