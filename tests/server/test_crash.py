"""A server that is killed at any moment has stored everything that it acknowledged, and nothing partially."""

import hashlib
import multiprocessing
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from engine import open_database
from engine.config import EngineConfig
from engine.voices.store import VoiceStore
from tests.server import crash
from tests.server.fakes import ready
from tests.server.uploads import sound
from tests.waiting import wait_until

KILLS = 50
WHOLE = """
    SELECT count(*) FROM voices
    LEFT JOIN samples ON samples.voice = voices.id LEFT JOIN voice_tokens ON voice_tokens.voice = voices.id
    WHERE samples.voice IS NULL OR voice_tokens.voice IS NULL
"""
ORPHANS = """
    SELECT (SELECT count(*) FROM samples WHERE voice NOT IN (SELECT id FROM voices))
         + (SELECT count(*) FROM voice_tokens WHERE voice NOT IN (SELECT id FROM voices))
"""


@pytest.mark.slow
def test_what_was_acknowledged_survives_fifty_kills(small_checkpoint: Path, tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([crash.__name__])
    tokenizer = small_checkpoint / "LLM" / "tokenizer.json"
    chance = random.Random(0)
    acknowledged: dict[str, bytes] = {}
    longest = 0.0  # seconds that uploads took which nobody disturbed

    def upload(url: str, name: str) -> None:
        data = sound(seconds=1 + 0.01 * len(acknowledged), rate=48_000)
        with suppress(httpx.TransportError):  # the server was killed
            answer = httpx.post(
                f"{url}/v1/audio/voices", data={"name": name}, files={"audio_sample": ("a.wav", data)}, timeout=60
            )
            assert answer.status_code == 200, answer.text
            acknowledged[answer.json()["id"]] = data

    for kill in range(KILLS):
        here, there = processes.Pipe()
        server = processes.Process(target=crash.run, args=(tokenizer, tmp_path, there))
        server.start()
        url = f"http://127.0.0.1:{here.recv()}"
        with httpx.Client(base_url=url, timeout=60) as http:
            wait_until(lambda: ready(http))
        with ThreadPoolExecutor(2) as pool:
            uploads = [pool.submit(upload, url, f"Voice {kill} {n}") for n in range(2)]
            if kill:
                time.sleep(chance.uniform(0, 1.6 * longest))
            else:
                begun = time.monotonic()
                wait(uploads)
                longest = time.monotonic() - begun
            server.kill()
            server.join()
        for done in uploads:
            done.result()

    database = open_database(EngineConfig(data_directory=tmp_path))
    with closing(database), closing(sqlite3.connect(tmp_path / "fast-spark.db")) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute(WHOLE).fetchone() == raw.execute(ORPHANS).fetchone() == (0,)
        store = VoiceStore(database)
        for voice_id, data in acknowledged.items():
            assert store.sample(voice_id).recording.data == data
            assert store.tokens(store.get(voice_id, None), "weights-1") is not None
        hashes = raw.execute("SELECT sha256, data FROM samples").fetchall()
        assert all(hashlib.sha256(data).hexdigest() == digest for digest, data in hashes)
    print(f"{len(acknowledged)} of {2 * KILLS} uploads were acknowledged, {len(hashes)} voices are kept")
    assert 0 < len(acknowledged) < 2 * KILLS  # some were in the middle
