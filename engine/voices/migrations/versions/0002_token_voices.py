"""Adds voices that are made from tokens, the names of speakers before their texts, and the language of a voice."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add three columns to the voices. Those that exist were not made from tokens."""
    op.add_column("voices", sa.Column("from_tokens", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("voices", sa.Column("text_prefix", sa.String(64)))
    op.add_column("voices", sa.Column("language", sa.String(64)))
