"""The store, on SQLite and on a real PostgreSQL: what is kept, who sees it, and what happens at the same time."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from engine.errors import EngineError, NotOwner, StoreFailed, UnknownConsent, UnknownVoice, VoiceExists
from engine.types import (
    Caller,
    ClonedVoiceTokens,
    Consent,
    CreatedVoiceTokens,
    Recording,
    Sample,
    Voice,
    VoiceAttributes,
)
from engine.voices.consent_store import ConsentStore
from engine.voices.database import Database
from engine.voices.naming import new_id
from engine.voices.rates import VoiceRates, digest_of
from engine.voices.store import VoiceStore
from engine.voices.tables import Base
from tests.engine.voices.common import same
from tests.postgres import Postgres

SAMPLE = Sample(Recording(b"RIFF...", "audio/wav"), cut=False)
TOKENS = ClonedVoiceTokens(np.arange(32), np.arange(100))


def voice(name: str, owner: str = "", *, private: bool = False, consent: str | None = None) -> Voice:
    return Voice(new_id("voice_"), name, 1, owner=owner, private=private, consent=consent)


def consent(name: str = "Ada agrees") -> Consent:
    return Consent(new_id("cons_"), name, "en-GB", 1)


@pytest.fixture
def store(database: Database) -> VoiceStore:
    return VoiceStore(database)


@pytest.fixture
def consents(database: Database) -> ConsentStore:
    return ConsentStore(database)


@pytest.fixture
def raw(url: str, database: Database) -> Iterator[Engine]:
    """The same database, without the store."""
    engine = create_engine(url)
    yield engine
    engine.dispose()


def counts(raw: Engine) -> dict[str, int]:
    with Session(raw) as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def test_a_voice_is_kept_whole(url: str, store: VoiceStore) -> None:
    ada = replace(voice("Ada"), transcript="What she says.")
    store.add(ada, SAMPLE, {"weights": TOKENS})
    with closing(Database(url)) as later:
        again = VoiceStore(later)
        assert again.find("Ada", "") == again.get(ada.id, "") == ada
        assert again.sample(ada.id) == SAMPLE
        assert same(again.tokens(ada, "weights"), TOKENS)
        assert again.tokens(ada, "other weights") is None


def test_a_created_voice_is_kept_with_its_attributes(store: VoiceStore) -> None:
    bass = replace(voice("Bass"), attributes=VoiceAttributes("male", "very_low", seed=7))
    store.add(bass)
    assert store.find("Bass", "") == bass
    with pytest.raises(UnknownVoice):
        store.sample(bass.id)


def test_the_tables_are_those_of_the_models(raw: Engine) -> None:
    with raw.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_processes_that_start_at_once_share_the_migration(url: str) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=Database, args=(url,)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 6
    with closing(Database(url)) as database:
        assert VoiceStore(database).page(None, None, 10) == []


def test_sqlite_readers_and_a_writer_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'store.db'}")) as database:
        store = VoiceStore(database)
        store.add(voice("Ada"))
        with database.reading() as before:
            assert before.scalar(text("PRAGMA journal_mode")) == "wal"
            assert before.scalar(text("PRAGMA synchronous")) == 2
            assert before.scalar(text("SELECT count(*) FROM voices")) == 1
            store.add(voice("Bob"))
            assert before.scalar(text("SELECT count(*) FROM voices")) == 1
        with database.writing() as _:
            assert len(store.page("", None, 10)) == 2


def test_two_servers_see_each_other_at_once(url: str, database: Database) -> None:
    with closing(Database(url)) as other:
        here, there = VoiceStore(database), VoiceStore(other)
        ada = voice("Ada")
        here.add(ada, SAMPLE, {"weights": TOKENS})
        assert there.find("Ada", "") == ada
        with pytest.raises(VoiceExists):
            there.add(voice("Ada"))
        there.delete(ada.id, "")
        with pytest.raises(UnknownVoice):
            here.find("Ada", "")


def test_of_many_that_want_a_name_one_gets_it(store: VoiceStore) -> None:
    together = threading.Barrier(8)

    def take() -> bool:
        together.wait()
        try:
            store.add(voice("Ada"), SAMPLE, {"weights": TOKENS})
        except VoiceExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: take(), range(8))) == 1
    assert len(store.page(None, None, 100)) == 1


def test_a_page_is_one_query_however_many_there_are(raw: Engine, store: VoiceStore, database: Database) -> None:
    with database.writing() as session:
        session.execute(
            text("INSERT INTO voices (id, owner, namespace, name, created_at) VALUES (:id, '', '', :id, 1)"),
            [{"id": f"voice_{n:04}"} for n in range(1000)],
        )
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    found: list[Voice] = []
    begun = time.perf_counter()
    try:
        while page := store.page("", found[-1].id if found else None, 100):
            found += page
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    print(f"a thousand voices in pages of a hundred: {1000 * (time.perf_counter() - begun):.0f} ms")
    assert [voice.name for voice in found] == [f"voice_{n:04}" for n in range(1000)]
    assert len([line for line in statements if line.startswith("SELECT")]) == 11


CALLERS: list[Caller] = ["", "ada", "bob", None]


def test_who_sees_what(store: VoiceStore) -> None:
    voices = [
        voice("Open"),
        voice("Shared", "ada"),
        voice("Hers", "ada", private=True),
        voice("His", "bob", private=True),
    ]
    for made in voices:
        store.add(made, SAMPLE)
    seen = {caller: [made.name for made in store.page(caller, None, 10)] for caller in CALLERS}
    assert seen == {
        "": ["Open", "Shared"],
        "ada": ["Open", "Shared", "Hers"],
        "bob": ["Open", "Shared", "His"],
        None: ["Open", "Shared", "Hers", "His"],
    }
    for caller in CALLERS:
        for made in voices:
            for look_up in (store.find, store.get):
                if made.name in seen[caller]:
                    assert look_up(made.id, caller) == made
                else:
                    with pytest.raises(UnknownVoice):
                        look_up(made.id, caller)


def test_only_its_owner_changes_a_voice(store: VoiceStore) -> None:
    for owner, caller, private in product(("", "ada", "bob"), CALLERS, (False, True)):
        made = voice("Voice", owner, private=private and owner != "")
        store.add(made, SAMPLE)
        if caller in (owner, None):
            assert store.change(made.id, caller, "Renamed", None).name == "Renamed"
            store.delete(made.id, caller)
            assert store.page(None, None, 10) == []
            continue
        refused = UnknownVoice if made.private else NotOwner
        with pytest.raises(refused):
            store.change(made.id, caller, "Renamed", None)
        with pytest.raises(refused):
            store.delete(made.id, caller)
        assert store.get(made.id, None) == made
        store.delete(made.id, None)


def test_a_private_name_says_nothing_about_others_and_goes_before_a_shared_one(store: VoiceStore) -> None:
    hers, his, shared = voice("Ada", "ada", private=True), voice("Ada", "bob", private=True), voice("Ada", "carl")
    for made in (hers, his, shared):
        store.add(made)
    assert [store.find("Ada", caller).id for caller in ("ada", "bob", "carl", "")] == [
        hers.id,
        his.id,
        shared.id,
        shared.id,
    ]


def test_a_voice_that_is_named_like_anothers_id_does_not_take_its_place(store: VoiceStore) -> None:
    ada = voice("Ada")
    store.add(ada)
    store.add(voice(ada.id, "bob", private=True))
    assert store.find(ada.id, "bob") == ada


def test_a_change_leaves_what_it_does_not_name(store: VoiceStore) -> None:
    ada = replace(voice("Ada"), transcript="What she says.")
    store.add(ada, SAMPLE)
    store.add(voice("Bob"))
    assert store.change(ada.id, "", "Eve", None) == replace(ada, name="Eve")
    assert store.change(ada.id, "", None, "Other words.") == replace(ada, name="Eve", transcript="Other words.")
    assert store.change(ada.id, "", None, "").transcript is None
    with pytest.raises(VoiceExists, match="'Bob'"):
        store.change(ada.id, "", "Bob", None)


def test_a_deleted_voice_leaves_nothing(store: VoiceStore, database: Database, raw: Engine) -> None:
    made = voice("Ada")
    store.add(made, SAMPLE, {"weights": TOKENS, "others": TOKENS})
    rates = VoiceRates(database, "weights")
    assert rates.get(digest_of(TOKENS), "en") is None
    assert rates.save(digest_of(TOKENS), "en", 0.8) == rates.save(digest_of(TOKENS), "en", 0.9) == 0.8
    made_rows = {"voices": 1, "samples": 1, "voice_tokens": 2, "voice_rates": 1}
    assert counts(raw) == {"consents": 0, "created_tokens": 0, **made_rows}
    store.delete(made.id, "")
    assert set(counts(raw).values()) == {0}
    with pytest.raises(UnknownVoice):
        store.delete(made.id, "")
    with pytest.raises(UnknownVoice):
        store.save_tokens(made, "weights", TOKENS)


def test_the_tokens_that_were_kept_first_stay(store: VoiceStore) -> None:
    made, later = voice("Ada"), replace(TOKENS, global_tokens=TOKENS.global_tokens + 1)
    store.add(made, SAMPLE, {"weights": TOKENS})
    assert same(store.save_tokens(made, "weights", later), TOKENS)
    assert same(store.save_tokens(made, "others", later), later)
    first, second = (CreatedVoiceTokens(TOKENS.global_tokens, VoiceAttributes("female"), (n,)) for n in (0, 1))
    assert same(store.save_created_tokens("weights", first), first)
    assert same(store.save_created_tokens("weights", second), first)


def test_consents_belong_to_who_made_them(consents: ConsentStore) -> None:
    hers, his = consent("Hers"), consent("His")
    consents.add(hers, "ada", SAMPLE.recording)
    consents.add(his, "bob", SAMPLE.recording)
    assert consents.page("ada", None, 10) == [hers]
    assert consents.page(None, hers.id, 10) == [his]
    assert consents.rename(hers.id, "ada", "Renamed") == consents.get(hers.id, "ada") == replace(hers, name="Renamed")
    for strange in ("bob", ""):
        for refused in (
            lambda: consents.get(hers.id, strange),  # noqa: B023 - called at once
            lambda: consents.rename(hers.id, strange, "Mine"),  # noqa: B023
            lambda: consents.delete(hers.id, strange),  # noqa: B023
        ):
            with pytest.raises(UnknownConsent):
                refused()
    consents.delete(hers.id, "ada")
    with pytest.raises(UnknownConsent):
        consents.get(hers.id, "ada")


def test_a_voice_outlives_its_consent_without_it(store: VoiceStore, consents: ConsentStore) -> None:
    agreed = consent()
    consents.add(agreed, "ada", SAMPLE.recording)
    made = voice("Ada", "ada", consent=agreed.id)
    store.add(made, SAMPLE)
    assert store.get(made.id, "ada").consent == agreed.id
    consents.delete(agreed.id, "ada")
    assert store.get(made.id, "ada").consent is None


def test_a_consent_is_no_use_to_others_nor_once_it_is_withdrawn(
    store: VoiceStore, consents: ConsentStore, raw: Engine
) -> None:
    agreed = consent()
    consents.add(agreed, "ada", SAMPLE.recording)
    with pytest.raises(UnknownConsent):
        store.add(voice("Ada", "bob", consent=agreed.id), SAMPLE)
    consents.delete(agreed.id, "ada")
    with pytest.raises(UnknownConsent):
        store.add(voice("Ada", "ada", consent=agreed.id), SAMPLE)
    assert set(counts(raw).values()) == {0}


def test_a_postgresql_that_was_restarted_is_spoken_to_again(postgres: Postgres) -> None:
    with closing(Database(postgres.new_database())) as database:
        store = VoiceStore(database)
        store.add(voice("Ada"))
        postgres.cut_connections()
        assert len(store.page("", None, 10)) == 1


def test_a_store_that_fails_says_so(store: VoiceStore, raw: Engine) -> None:
    with raw.begin() as connection:
        connection.execute(text("DROP TABLE voice_tokens"))
        connection.execute(text("DROP TABLE samples"))
        connection.execute(text("DROP TABLE voices"))
    with pytest.raises(StoreFailed, match=r"voice store failed: .*voices") as caught:
        store.page("", None, 10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("no url", "not a database URL"),
        ("sqlite://", "file's path"),
        ("sqlite:///:memory:", "file's path"),
        ("mysql://localhost/voices", "sqlite:/// and a file's path, or postgresql://"),
        ("sqlite:////nowhere/at/all/voices.db", "sqlite:////nowhere/at/all/voices.db cannot be opened"),
        ("postgresql://ada:secret@127.0.0.1:1/voices", "127.0.0.1:1/voices cannot be opened: .*refused"),
        ("postgresql://ada:secret@[", "cannot be opened"),
    ],
)
def test_a_store_that_cannot_be_opened_says_why_in_one_line_and_keeps_the_password(wrong: str, message: str) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        Database(wrong)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
