"""Damaged voice stores: what is refused at the start, in one line, and what is left out of a store that works."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from engine.errors import EngineError, StoreFailed, UnknownConsent, UnknownVoice
from engine.tokens.vocabulary import Vocabulary
from engine.types import (
    ClonedVoiceTokens,
    Consent,
    CreatedVoiceTokens,
    Recording,
    Sample,
    Voice,
    VoiceAttributes,
    VoiceTokens,
)
from engine.voices.consent_store import ConsentStore
from engine.voices.database import Database
from engine.voices.naming import new_id
from engine.voices.rows import prompt_tokens
from engine.voices.store import VoiceStore
from tests.engine.fakes import FakeCodec, FakeLanguageModel, fake_engine
from tests.engine.voices.common import recording, same

SAMPLE = Sample(Recording(recording(), "audio/wav"), cut=False)
CLONED = ClonedVoiceTokens(np.arange(32), np.arange(100))
FEMALE = VoiceAttributes("female")
CREATED = CreatedVoiceTokens(np.arange(32), FEMALE, ())


def cloned(name: str) -> Voice:
    return Voice(new_id("voice_"), name, 1)


def filled(path: Path) -> None:
    """A store of 40 voices, so that each table has several pages."""
    with closing(Database(f"sqlite:///{path}")) as database:
        store = VoiceStore(database)
        for n in range(40):
            store.add(replace(cloned(f"Voice {n}"), transcript="x" * 1000), SAMPLE if n < 3 else None, {"m": CLONED})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "store.db"
    filled(path)
    return path.read_bytes()


def sql(*statements: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return harm


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return harm


def root_page_zeroed(table: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(bytes(size))

    return harm


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "text": (bytes_of(lambda data: b"These are not voices.\n" * 999), "file is not a database"),
    "random bytes": (bytes_of(lambda data: np.random.default_rng(0).bytes(9999)), "file is not a database"),
    "another magic": (bytes_of(lambda data: b"SQLite format 2\0" + data[16:]), "file is not a database"),
    "half a header": (bytes_of(lambda data: data[:50]), "malformed|not a database"),
    "header only": (bytes_of(lambda data: data[:100] + bytes(len(data) - 100)), "malformed|damaged|not a database"),
    "cut after the first page": (bytes_of(lambda data: data[:4096]), "malformed|damaged"),
    "cut in the middle": (bytes_of(lambda data: data[: len(data) // 2 // 4096 * 4096]), "malformed|damaged"),
    "voices zeroed": (root_page_zeroed("voices"), "malformed|damaged"),
    "tokens zeroed": (root_page_zeroed("voice_tokens"), "malformed|damaged"),
    "a table is missing": (sql("DROP TABLE samples"), "table samples is missing"),
    "a column is missing": (
        sql("ALTER TABLE voices DROP COLUMN transcript"),
        "table voices has no column transcript",
    ),
    "a column is renamed": (
        sql("ALTER TABLE voice_tokens RENAME COLUMN model TO weights"),
        "table voice_tokens has no column model",
    ),
    "newer": (sql("UPDATE alembic_version SET version_num = '9999'"), "newer version of Fast-Spark.*upgrade"),
    "foreign": (sql("DROP TABLE alembic_version"), "database of another program"),
    "version forgotten": (sql("DELETE FROM alembic_version"), "already exists"),
    "a directory": (directory, "is a directory"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_file_is_refused_at_the_start_in_one_line(tmp_path: Path, whole: bytes, name: str) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(whole)
    harm, message = REFUSED[name]
    harm(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(EngineError, match=message) as caught:
        Database(f"sqlite:///{path}", busy_seconds=1)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not before or path.read_bytes() == before  # a person can still repair it


def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    with closing(Database(f"sqlite:///{path}")) as database:
        assert VoiceStore(database).page(None, None, 10) == []


def test_a_damaged_page_that_the_start_did_not_check_is_a_reason(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(whole)
    root_page_zeroed("samples")(path)
    with closing(Database(f"sqlite:///{path}")) as database:
        store = VoiceStore(database)
        first = store.page(None, None, 1)[0]
        with pytest.raises(StoreFailed, match="malformed"):
            store.sample(first.id)
        assert len(store.page(None, None, 300)) == 40


def test_a_data_directory_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for wrong, reason in ((file, "it is a file"), (file / "inside", "Not a directory"), (str(file), "it is a file")):
        with pytest.raises(EngineError, match=rf"{reason}\. Set engine\.data_directory") as caught:
            Database.in_directory(wrong)
        assert "\n" not in str(caught.value)


def test_a_store_that_another_process_has_locked_says_so(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(whole)
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(Database(f"sqlite:///{path}", busy_seconds=0.1)) as database,
    ):
        store = VoiceStore(database)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreFailed, match="another process has locked it"):
            store.add(cloned("Ada"))
        assert len(store.page(None, None, 300)) == 40  # readers do not wait
        with pytest.raises(EngineError, match="another process has locked it") as caught:
            Database(f"sqlite:///{path}", busy_seconds=0.1)
        assert "\n" not in str(caught.value)
        other.execute("COMMIT")
        store.add(cloned("Ada"))


def in_range(tokens: VoiceTokens) -> None:
    if tokens.global_tokens.min() < 0 or (prompt_tokens(tokens) < 0).any():
        raise ValueError("out of range")


class Rows:
    """A store on either database, and its rows."""

    def __init__(self, url: str, database: Database) -> None:
        self.store, self.consents = VoiceStore(database, in_range), ConsentStore(database)
        self._engine = create_engine(url)

    def harm(self, table: str, column: str, expression: str, **values: object) -> None:
        """Change every row."""
        with self._engine.begin() as connection:
            connection.execute(text(f"UPDATE {table} SET {column} = {expression}"), values)

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture
def sqlite_rows(tmp_path: Path) -> Iterator[Rows]:
    url = f"sqlite:///{tmp_path / 'mistyped.db'}"
    with closing(Database(url)) as database, closing(Rows(url, database)) as rows:
        yield rows


@pytest.fixture
def rows(url: str, database: Database) -> Iterator[Rows]:
    with closing(Rows(url, database)) as rows:
        yield rows


DAMAGED_ATTRIBUTES = ["{", "", "[]", "null", '{"gender": "robot"}', '{"gender": "female", "seed": "x"}']
MISTYPED_IN_SQLITE = {  # what PostgreSQL does not take
    "attributes": "x'fffe'",
    "created_at": "'yesterday'",
    "name": "CAST(x'ff' || id AS TEXT)",  # not UTF-8
    "transcript": "CAST(x'ff' AS TEXT)",
}


@pytest.mark.parametrize("attributes", DAMAGED_ATTRIBUTES)
def test_a_voice_with_damaged_attributes_is_left_out_and_named_in_the_log(
    rows: Rows, attributes: str, caplog: pytest.LogCaptureFixture
) -> None:
    check_left_out(rows, "attributes", f"'{attributes}'", caplog)


@pytest.mark.parametrize("column", MISTYPED_IN_SQLITE)
def test_a_voice_with_a_mistyped_column_is_left_out_and_named_in_the_log(
    sqlite_rows: Rows, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    check_left_out(sqlite_rows, column, MISTYPED_IN_SQLITE[column], caplog)


def check_left_out(rows: Rows, column: str, expression: str, caplog: pytest.LogCaptureFixture) -> None:
    damaged = [cloned(f"Damaged {n}") for n in range(5)]
    for voice in damaged:
        rows.store.add(replace(voice, attributes=FEMALE))
    rows.harm("voices", column, expression)
    good = [cloned(f"Good {n}") for n in range(3)]
    for voice in good:
        rows.store.add(voice, SAMPLE)
    assert rows.store.page(None, None, 10) == good
    assert rows.store.page("", None, 2) == good[:2]  # a page is full although damaged rows come first
    assert rows.store.page("", good[1].id, 2) == good[2:]
    assert all(voice.id in caplog.text for voice in damaged)
    for look_up in (rows.store.find, rows.store.get):
        with pytest.raises(UnknownVoice):
            look_up(damaged[0].id, None)
    with pytest.raises(UnknownVoice):
        rows.store.change(damaged[0].id, None, None, None)
    for voice in damaged:
        rows.store.delete(voice.id, None)
    assert rows.store.page(None, None, 10) == good


def test_a_damaged_consent_is_left_out(sqlite_rows: Rows) -> None:
    rows = sqlite_rows
    bad, good = (Consent(new_id("cons_"), name, "en-GB", 1) for name in ("Bad", "Good"))
    rows.consents.add(bad, "", SAMPLE.recording)
    rows.harm("consents", "created_at", "'yesterday'")
    rows.consents.add(good, "", SAMPLE.recording)
    assert rows.consents.page(None, None, 1) == [good]
    with pytest.raises(UnknownConsent):
        rows.consents.get(bad.id, None)


DAMAGED_TOKENS = [
    ("global_tokens", b""),
    ("global_tokens", bytes(127)),
    ("global_tokens", bytes(124)),
    ("global_tokens", b"\xff" * 128),
    ("global_tokens", "text"),
    ("prompt_tokens", bytes(7)),
    ("prompt_tokens", b"\xff" * 8),
]


@pytest.mark.parametrize(("column", "value"), DAMAGED_TOKENS)
def test_damaged_tokens_count_as_missing_and_are_replaced(
    rows: Rows, column: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    check_replaced(rows, column, value, caplog)


def test_tokens_that_are_a_number_count_as_missing(sqlite_rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    check_replaced(sqlite_rows, "global_tokens", 10**12, caplog)


def check_replaced(rows: Rows, column: str, value: object, caplog: pytest.LogCaptureFixture) -> None:
    ada, eve = cloned("Ada"), replace(cloned("Eve"), attributes=FEMALE)
    rows.store.add(ada, SAMPLE, {"m": CLONED})
    rows.store.add(eve, None, {"m": CREATED})
    rows.store.save_created_tokens("m", CREATED)
    rows.harm("voice_tokens", column, ":value", value=value)
    rows.harm("created_tokens", column.replace("prompt_tokens", "acoustic_ids"), ":value", value=value)
    assert rows.store.tokens(ada, "m") is rows.store.tokens(eve, "m") is rows.store.created_tokens("m", FEMALE) is None
    assert rows.store.tokens_by_model(ada) == {}
    assert all(name in caplog.text for name in (ada.id, eve.id, "created_tokens"))
    rows.store.save_tokens(ada, "m", CLONED)
    rows.store.save_tokens(eve, "m", CREATED)
    rows.store.save_created_tokens("m", CREATED)
    assert same(rows.store.tokens(ada, "m"), CLONED)
    assert same(rows.store.tokens(eve, "m"), CREATED)
    assert same(rows.store.created_tokens("m", FEMALE), CREATED)


@pytest.mark.parametrize("attributes", [None, FEMALE], ids=["cloned", "created"])
async def test_damaged_tokens_are_made_again_once(
    rows: Rows, database: Database, vocabulary: Vocabulary, tmp_path: Path, attributes: VoiceAttributes | None
) -> None:
    codec, model = FakeCodec(), FakeLanguageModel(vocabulary)
    engine = fake_engine(vocabulary, tmp_path, codec=codec, language_model=model, database=database)
    await (engine.voices.create("Ada", attributes) if attributes else engine.voices.add("Ada", recording()))
    before = await engine.voices.tokens("Ada")
    rows.harm("voice_tokens", "prompt_tokens", ":value", value=b"odd")
    rows.harm("created_tokens", "acoustic_ids", ":value", value=b"odd")
    made = codec.encoded + len(model.prompts)
    for _ in range(2):
        assert same(await engine.voices.tokens("Ada"), before)
    assert codec.encoded + len(model.prompts) == made + 1
    await engine.close()


async def test_a_damaged_sample_is_named(
    rows: Rows, database: Database, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    engine = fake_engine(vocabulary, tmp_path, database=database)
    made = await engine.voices.add("Ada", recording())
    rows.harm("samples", "data", ":value", value=b"RIFF")
    assert (await engine.voices.tokens("Ada")).global_tokens.size == 32  # its tokens are whole
    rows.harm("voice_tokens", "global_tokens", ":value", value=b"")
    with pytest.raises(StoreFailed, match=f"sample of the voice {made.id} is damaged. Delete"):
        await engine.voices.tokens("Ada")
    await engine.voices.delete(made.id)
    await engine.close()
