"""Prepares the file of a SQLite database: who may read it, whether it is ours, and how it writes its journal."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path, PurePath

from filelock import FileLock

logger = logging.getLogger(__name__)

NETWORK = ("9p", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs", "virtiofs")
"""File systems of several machines, which do not share the memory that WAL needs: it can lose data there."""

CHECKED_TABLES = ("voices", "voice_tokens", "created_tokens")  # all but those whose size makes a check slow


class Unusable(Exception):
    """The database cannot hold the voice store. The message says why and what to do."""


def prepare(path: Path, busy_seconds: float, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Create the file if it is missing, with mode 0600, check it, and choose its journal mode; blocks.

    Raises Unusable, or an OSError or sqlite3.Error that says what failed. Of two processes that prepare a file at
    once, one waits, at most `busy_seconds`.
    """
    _check_access(path)
    with FileLock(f"{path}.lock", timeout=busy_seconds, mode=0o600):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            logger.warning("Other users can read the voice store. Run: chmod 600 %s", path)
        if file_system(path, mounts) in NETWORK or not _uses_wal(path, busy_seconds):
            _use_rollback_journal(path, busy_seconds)
            logger.info("The file system of %s does not support WAL, so a rollback journal is used.", path)
        _check_content(path, busy_seconds)


def file_system(path: Path, mounts: Path) -> str:
    """The type of the file system that holds a file, as `mounts` names it; empty if it is not known."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:  # not on Linux
        return ""
    place = PurePath(path.resolve())
    found = [(len(point), name) for _, point, name, *_ in lines if place.is_relative_to(point)]
    return max(found, default=(0, ""))[1]


def _check_access(path: Path) -> None:
    if not path.parent.is_dir():
        raise Unusable(f"there is no directory {path.parent}; create it")
    if path.is_dir():
        raise Unusable("it is a directory")
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise Unusable(f"{place} is read-only; set engine.data_directory or engine.voices to a writable place")


def _uses_wal(path: Path, busy_seconds: float) -> bool:
    """Switch to WAL, which stays with the file; False if the file system has no memory that processes share."""
    with closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_master")  # the shared memory is first used here
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith(("SQLITE_IOERR_SHM", "SQLITE_IOERR_LOCK", "SQLITE_PROTOCOL")):
                return False
            raise
        return bool(mode == "wal")


def _use_rollback_journal(path: Path, busy_seconds: float) -> None:
    with closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # else a file in WAL mode cannot be opened here
        connection.execute("PRAGMA journal_mode = DELETE")


def _check_content(path: Path, busy_seconds: float) -> None:
    with closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "alembic_version" not in tables:
            raise Unusable("it is the database of another program; choose another file")
        for table in tables.intersection(CHECKED_TABLES):
            (finding,) = connection.execute(f"PRAGMA quick_check({table})").fetchone()
            if finding != "ok":
                raise Unusable(f"it is damaged ({finding.splitlines()[-1]}); restore it from a backup")
