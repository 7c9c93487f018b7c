"""Creates the table of the voices' rates of speech."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "voice_rates",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("voice", sa.String(64), nullable=False),
        sa.Column("script", sa.String(8), nullable=False),
        sa.Column("rate", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("model", "voice", "script", name="pk_voice_rates"),
    )
