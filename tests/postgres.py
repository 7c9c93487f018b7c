"""A PostgreSQL of the tests' own, from the system's package, on a socket in a temporary directory."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import psycopg

NUMBERS = count()


def programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian keeps them out of PATH."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")), Path(shutil.which("initdb") or "/nowhere")]
    return next((file.parent for file in reversed(found) if file.is_file()), None)


class Postgres:
    """A running server; `new_database` makes an empty database and returns its URL.

    `control` is pg_ctl with an action; `stop` and `start` take the server away and bring it back.
    """

    def __init__(self, directory: Path, control: Callable[..., None]) -> None:
        self.directory = directory
        self._control = control

    def new_database(self) -> str:
        name = f"test{next(NUMBERS)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://test@/{name}?host={self.directory}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(f"host={self.directory} user=test dbname=postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        options = f"-k {self.directory} -c listen_addresses='' -F"
        self._control("-l", str(self.directory / "log"), "-o", options, "start")

    def cut_connections(self) -> None:
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")


@contextmanager
def running_postgres(bin_directory: Path) -> Iterator[Postgres]:
    """PostgreSQL refuses to run as root: there it runs as the user that its package made."""
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres") as name:
        directory, data = Path(name), Path(name) / "data"
        if user:
            shutil.chown(directory, user)

        def run(program: str, *arguments: str) -> None:
            command = [bin_directory / program, "-D", data, *arguments]
            subprocess.run(command, user=user, cwd=directory, check=True, stdout=subprocess.DEVNULL)

        run("initdb", "--auth=trust", "--username=test", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        postgres = Postgres(directory, partial(run, "pg_ctl", "-w"))
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()
