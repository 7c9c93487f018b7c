"""The databases that the store runs on, each test with an empty one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.voices.database import Database
from tests.postgres import Postgres, programs, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    directory = programs()
    if directory is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running_postgres(directory) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()
