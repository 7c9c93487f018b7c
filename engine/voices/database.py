"""Opens a SQLite or PostgreSQL database, migrates its tables to this version, and runs transactions."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import alembic.command
import alembic.config
from alembic.util import CommandError
from filelock import Timeout
from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from engine.errors import EngineError, StoreFailed
from engine.voices import sqlite_file
from engine.voices.sqlite_file import Unusable
from engine.voices.tables import Base

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x5EEC4  # any number that other programs on the same PostgreSQL do not lock
BUSY_SECONDS = 30  # how long SQLite waits for another writer
POSTGRESQL = {"connect_timeout": 10, "tcp_user_timeout": 30_000}  # libpq's, in s and ms, if the URL does not set them

logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs several lines at every start


class Database:
    """Every transaction is short and blocks: use it in a thread."""

    def __init__(self, url: str, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open the database, migrate its tables and check them; raises EngineError if it cannot be used.

        A transaction on SQLite waits `busy_seconds` for a lock that another process holds.
        """
        parsed = _checked(url)
        shown = parsed.render_as_string(hide_password=True)
        try:
            self._engine = _engine(parsed, busy_seconds)
            if parsed.get_backend_name() == "sqlite":
                sqlite_file.prepare(Path(parsed.database or ""), busy_seconds)
            _migrate(self._engine)
        except OPENING as error:
            raise EngineError(f"The voice store at {shown} cannot be opened: {_reason(error)}.") from error
        self._reading = self._engine.execution_options(reading=True)

    @classmethod
    def in_directory(cls, directory: str | os.PathLike[str]) -> Database:
        """The SQLite file of this directory, which is created with mode 0700 if it is missing."""
        directory = Path(directory)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
            message = f"{directory} cannot be the directory of the voice store: {reason}."
            raise EngineError(f"{message} Set engine.data_directory to another one.") from error
        return cls(f"sqlite:///{directory / 'fast-spark.db'}")

    @contextmanager
    def reading(self) -> Generator[Session, None, None]:
        """A read-only session that sees one state of the database; raises StoreFailed."""
        with _understood(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Generator[Session, None, None]:
        """A session whose changes are committed together at its end; raises IntegrityError or StoreFailed."""
        with _understood(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def lock(self, name: str) -> Generator[bool, None, None]:
        """Yield whether no other context has the lock of this name, in any process that uses the database.

        The lock ends with the context, or with its process. On SQLite, everybody gets it. Raises StoreFailed.
        """
        if self._engine.dialect.name != "postgresql":
            yield True
            return
        query = select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))
        with _understood():
            connection = self._engine.connect()
        try:
            with _understood():
                alone = bool(connection.scalar(query))
            yield alone
        finally:
            with suppress(SQLAlchemyError):  # a connection that is lost has no lock either
                connection.close()

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


OPENING = (SQLAlchemyError, CommandError, ImportError, NotImplementedError, OSError, Unusable, sqlite3.Error)
"""What can be raised while a database is opened; NotImplementedError by a file system without locks."""


def _reason(error: Exception) -> str:
    """One line: what to do where that is known, else the first line of the driver's message."""
    cause = getattr(error, "orig", None) or error
    message = str(cause).partition("\n")[0].rstrip(".")
    match cause:
        case CommandError():
            return f"a newer version of Fast-Spark wrote it, so upgrade this one ({message})"
        case ModuleNotFoundError(name="psycopg" | "psycopg2"):
            return "its driver is not installed; pip install 'fast-spark[postgres]'"
        case sqlite3.DatabaseError() if "malformed" in message or "not a database" in message:
            return f"{message}; restore it from a backup"
        case sqlite3.OperationalError() if "locked" in message:
            return "another process has locked it; stop that process, or try again later"
        case Timeout():
            return f"another process holds {cause.lock_file}; stop that process, or try again later"
    return message


def _checked(url: str) -> URL:
    """The parsed URL of a SQLite file or a PostgreSQL database; raises EngineError if it is neither."""
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        raise EngineError(
            "The voice store cannot be opened: its setting is not a database URL."
        ) from None  # it may hold a password
    file = parsed.database or ":memory:"
    match parsed.get_backend_name():
        case "postgresql":
            return parsed
        case "sqlite" if not file.startswith((":memory:", "file:")):
            return parsed
    raise EngineError(
        "The voice store cannot be opened: its URL must begin with sqlite:/// and a file's path, or postgresql://."
    )


def _engine(url: URL, busy_seconds: float) -> Engine:
    if url.get_backend_name() != "sqlite":
        options = {name: value for name, value in POSTGRESQL.items() if name not in url.query}
        # The ping replaces connections that a restart of the database has closed. Without a limit of its own, the pool
        # has a connection for each thread, and for each lock.
        return create_engine(url, pool_pre_ping=True, max_overflow=-1, connect_args=options)
    engine = create_engine(url, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # begin() below starts transactions, not the driver
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # a commit survives a power failure
        # A damaged text must not make the query fail for all rows: it is found when its row is checked.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        """A writer takes the lock when it begins: SQLite does not let it wait once it has read."""
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _migrate(engine: Engine) -> None:
    """Run the missing migrations in one transaction. Of two processes that start at once, one waits."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config = alembic.config.Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        alembic.command.upgrade(config, "head")
        _check_tables(connection)


def _check_tables(connection: Connection) -> None:
    """Raise Unusable if a table or a column is missing, before a request finds out."""
    inspector = inspect(connection)
    for table in Base.metadata.sorted_tables:
        if not inspector.has_table(table.name):
            raise Unusable(f"its table {table.name} is missing; restore it from a backup")
        found = {column["name"] for column in inspector.get_columns(table.name)}
        if missing := [name for name in (column.name for column in table.columns) if name not in found]:
            raise Unusable(f"its table {table.name} has no column {missing[0]}; restore it from a backup")
