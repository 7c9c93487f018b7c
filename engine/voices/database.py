"""Opens a SQLite or PostgreSQL database, migrates its tables to this version, and runs transactions."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import alembic.command
import alembic.config
from alembic.util import CommandError
from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from engine.errors import EngineError, StoreFailed

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x5EEC4  # any number that other programs on the same PostgreSQL do not lock
BUSY_SECONDS = 30  # how long SQLite waits for another writer

logging.getLogger("alembic").setLevel(logging.WARNING)  # it has several lines for every start


class Database:
    """Every transaction is short and blocks: use it in a thread."""

    def __init__(self, url: str) -> None:
        """Open the database and bring its tables up to date; raises EngineError if it cannot be opened."""
        parsed = _checked(url)
        try:
            self._engine = _engine(parsed)
            _migrate(self._engine)
        except (SQLAlchemyError, CommandError, ImportError, OSError) as error:
            reason = _reason(error)
            if isinstance(error, ModuleNotFoundError) and parsed.get_backend_name() == "postgresql":
                reason = "its driver is not installed; pip install 'fast-spark[postgres]'"
            shown = parsed.render_as_string(hide_password=True)
            raise EngineError(f"The voice store at {shown} cannot be opened: {reason}.") from error
        self._reading = self._engine.execution_options(reading=True)

    @classmethod
    def in_directory(cls, directory: str | os.PathLike[str]) -> Database:
        """The SQLite file of this directory, which is created with mode 0700 if it is missing."""
        directory = Path(directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(f"sqlite:///{directory / 'fast-spark.db'}")

    @contextmanager
    def reading(self) -> Generator[Session, None, None]:
        """A session that sees one state of the database and changes nothing; raises StoreFailed."""
        with _understood(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Generator[Session, None, None]:
        """A session whose changes are kept together at its end; raises IntegrityError or StoreFailed."""
        with _understood(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close the database's connections."""
        self._engine.dispose()


@contextmanager
def _understood() -> Generator[None, None, None]:
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise StoreFailed(f"The voice store failed: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """The first line of what the driver said, without SQLAlchemy's statement and link."""
    cause = getattr(error, "orig", None) or error
    return str(cause).partition("\n")[0].rstrip(".")


def _checked(url: str) -> URL:
    """The URL, if it is one of a database that keeps what is written."""
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        raise EngineError(
            "The voice store cannot be opened: its setting is not a database URL."
        ) from None  # it may hold a password
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql") or (kind == "sqlite" and parsed.database in (None, "", ":memory:")):
        raise EngineError(
            "The voice store cannot be opened: its URL must begin with sqlite:/// and a file's path, or postgresql://."
        )
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)  # outlives a restart of the database
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # begin() below begins transactions, and not the driver
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # what is committed survives a power cut, too

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        """A writer waits for the lock when it begins: one that has read already may not wait for it."""
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _migrate(engine: Engine) -> None:
    """Run the migrations that are missing, in one transaction. Of two processes that start at once, one waits."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # The mode stays with the file. Changing it does not wait for others that do the same.
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            with FileLock(f"{engine.url.database}.lock"):
                raw.execute("PRAGMA journal_mode = WAL")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            config = alembic.config.Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
            alembic.command.upgrade(config, "head")
