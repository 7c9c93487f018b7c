"""Alembic's entry point: migrates the connection that `engine.voices.database` passes, in its transaction."""

from alembic import context

from engine.voices.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
