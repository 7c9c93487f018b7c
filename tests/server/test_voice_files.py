"""Voices as files over HTTP: from one server to another, for their owners only."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from engine.tokens.vocabulary import Vocabulary
from tests.server.conftest import Server
from tests.server.errors import assert_error
from tests.server.fakes import Fakes, patient, ready
from tests.waiting import wait_until

KEYS = {"ada": "0123456789abcdef", "eve": "fedcba9876543210"}
FILES, VOICES = "/v1/audio/voice_files", "/v1/audio/voices"


@pytest.fixture
def server(vocabulary: Vocabulary, tmp_path: Path, serve: Callable[[FastAPI], Server]) -> Server:
    return serve(Fakes(vocabulary, tmp_path, patient(api_keys=KEYS)).app)


@pytest.fixture
def ada(server: Server) -> httpx.Client:
    http = httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEYS['ada']}"}, timeout=60)
    wait_until(lambda: ready(http))
    return http


@pytest.fixture
def voice(ada: httpx.Client, golden: Path) -> str:
    form = {"name": "Ada", "transcript": "What Ada says."}
    sample = {"audio_sample": (golden / "clip.wav").read_bytes()}
    return str(ada.post(VOICES, data=form, files=sample).raise_for_status().json()["id"])


def exported(http: httpx.Client, voice: str) -> bytes:
    return http.get(f"{FILES}/{voice}").raise_for_status().content


def test_an_exported_voice_is_imported(ada: httpx.Client, voice: str, golden: Path) -> None:
    data = exported(ada, voice)
    ada.delete(f"{VOICES}/{voice}").raise_for_status()
    imported = ada.post(FILES, files={"file": data}).raise_for_status().json()
    assert imported["name"] == "Ada"
    assert imported["type"] == "audio_sample"
    details = ada.get(f"{VOICES}/{imported['id']}").json()
    assert (details["transcript"], details["scope"]) == ("What Ada says.", "shared")
    assert ada.get(f"{VOICES}/{imported['id']}/sample").content == (golden / "clip.wav").read_bytes()


def test_an_imported_voice_belongs_to_its_importer(server: Server, ada: httpx.Client, voice: str) -> None:
    form = {"name": "Eve", "scope": "private"}
    eve = httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEYS['eve']}"}, timeout=60)
    imported = eve.post(FILES, data=form, files={"file": exported(ada, voice)}).raise_for_status().json()["id"]
    assert eve.get(f"{VOICES}/{imported}").json()["scope"] == "private"
    assert ada.get(f"{VOICES}/{imported}").status_code == 404
    assert eve.get(f"{FILES}/{voice}").status_code == 403
    assert eve.get(f"{FILES}/{imported}").status_code == 200
    assert ada.get(f"{FILES}/{imported}").status_code == 404


def test_what_cannot_be_exported_or_imported(ada: httpx.Client, voice: str) -> None:
    assert_error(ada.get(f"{FILES}/alloy"), 400, "voice_id", "built-in")
    assert_error(ada.post(FILES, files={"file": b"nothing"}), 400, "file", "not a voice that Fast-Spark exported")
    assert_error(ada.post(FILES, data={"name": "Ada"}), 400, "file", "file")
    again = ada.post(FILES, files={"file": exported(ada, voice)})
    assert_error(again, 409, "name", "'Ada'")
    unknown = ada.post(FILES, data={"name": "x", "consent": f"cons_{'0' * 32}"}, files={"file": exported(ada, voice)})
    assert_error(unknown, 400, "consent", "consent")
