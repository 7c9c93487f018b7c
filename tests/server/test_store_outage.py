"""Outage and recovery of PostgreSQL while the server runs."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.tokens.vocabulary import Vocabulary
from engine.voices.database import Database
from server.app import create_app
from tests.engine.fakes import fake_engine
from tests.postgres import Postgres, programs, running_postgres
from tests.server.conftest import serving
from tests.server.fakes import BODY, patient, ready
from tests.server.uploads import sound, upload
from tests.waiting import wait_until

WAV = sound()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    directory = programs()
    if directory is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running_postgres(directory) as running:
        yield running


@pytest.fixture
def http(postgres: Postgres, vocabulary: Vocabulary, tmp_path: Path) -> Iterator[httpx.Client]:
    url = postgres.new_database()
    app = create_app(patient(), lambda observer: fake_engine(vocabulary, tmp_path, database=Database(url)))
    with serving(app) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        wait_until(lambda: ready(http))
        yield http


def listed(http: httpx.Client) -> list[str]:
    return [voice["name"] for voice in http.get("/v1/audio/voices", params={"after": "verse"}).json()["data"]]


def test_requests_get_a_reason_while_the_database_is_away_and_work_once_it_is_back(
    http: httpx.Client, postgres: Postgres
) -> None:
    ada = upload(http, "Ada", WAV).json()["id"]
    speech = BODY | {"voice": "Ada"}
    assert http.post("/v1/audio/speech", json=speech).status_code == 200
    postgres.stop()
    try:
        for response in (
            http.get("/v1/audio/voices"),
            http.get(f"/v1/audio/voices/{ada}"),
            http.post("/v1/audio/speech", json=speech),
            http.delete(f"/v1/audio/voices/{ada}"),
            upload(http, "Eve", WAV),
        ):
            assert (response.status_code, response.json()["error"]["code"]) == (503, "store_failed"), response.text
            message = response.json()["error"]["message"]
            assert message.startswith("The voice store failed: connection")
            assert "\n" not in message
            assert "Retry-After" in response.headers
        assert http.get("/health/live").status_code == 200
    finally:
        postgres.start()
    assert listed(http) == ["Ada"]
    assert upload(http, "Eve", WAV).status_code == 200
    assert http.post("/v1/audio/speech", json=speech).status_code == 200
    assert http.delete(f"/v1/audio/voices/{ada}").status_code == 200
    assert listed(http) == ["Eve"]


def test_what_was_acknowledged_before_and_while_the_database_went_away_is_there(
    http: httpx.Client, postgres: Postgres
) -> None:
    saved: list[str] = []
    refused: list[str] = []
    stop = threading.Event()

    def make(first: str) -> None:
        number = 0
        while not stop.is_set():
            name = f"{first}{number}"
            answer = http.post("/v1/audio/voices", data={"name": name, "gender": "female"})
            assert answer.status_code in (200, 503), answer.text
            (saved if answer.status_code == 200 else refused).append(name)
            number += 1

    threads = [threading.Thread(target=make, args=(first,)) for first in "ABC"]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before, after = len(saved), len(refused)
            wait_until(lambda before=before: len(saved) > before + 3)  # type: ignore[misc]
            postgres.stop()
            try:
                wait_until(lambda after=after: len(refused) > after + 3)  # type: ignore[misc]
            finally:
                postgres.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    everything: list[str] = []
    after_id = "verse"
    while page := http.get("/v1/audio/voices", params={"after": after_id, "limit": 100}).json()["data"]:
        everything += [voice["name"] for voice in page]
        after_id = page[-1]["id"]
    assert set(saved) <= set(everything)
    assert len(everything) == len(set(everything))
