"""Servers that are killed or stopped at any moment: acknowledged data is stored, and the next start succeeds."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine import checkpoints
from tests.attacks.running import SHORT, settings_file
from tests.server import crash
from tests.server.conftest import COMMAND, wait_for_url
from tests.server.forked import started
from tests.server.uploads import agree, sound, upload
from tests.waiting import wait_until

KILLS = 50
GONE = None
VOICE = sound(seconds=1)
LONG = SHORT | {"input": "A sentence that takes some time to be said, so that there is time to stop. " * 40}
LONG |= {"max_tokens": 400}


class Kept:
    """What a store may have now: of each thing all states that it may be in, one once that was acknowledged."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: dict[str, set[str | None]] = {}

    def check(self, http: httpx.Client) -> None:
        """Hold it against what the server says, which is the truth from now on."""
        found = {item["id"]: item["name"] for item in http.get(self.path, params={"limit": 100}).json()["data"]}
        found = {key: name for key, name in found.items() if key in self.names}
        for key, possible in self.names.items():
            assert found.get(key, GONE) in possible, (key, found.get(key), possible)
        self.names = {key: {name} for key, name in found.items()}

    def rename(self, http: httpx.Client, key: str, name: str) -> None:
        self.names[key] |= {name}
        answer = http.post(f"{self.path}/{key}", json={"name": name})
        assert answer.status_code == 200, answer.text
        self.names[key] = {name}

    def delete(self, http: httpx.Client, key: str) -> None:
        self.names[key] |= {GONE}
        assert http.delete(f"{self.path}/{key}").status_code == 200
        self.names[key] = {GONE}

    def add(self, answer: httpx.Response) -> str:
        assert answer.status_code == 200, answer.text
        self.names[answer.json()["id"]] = {answer.json()["name"]}
        return str(answer.json()["id"])


def test_renames_deletions_and_consents_survive_fifty_kills(tmp_path: Path) -> None:
    tokenizer = checkpoints.locate("demo") / "LLM" / "tokenizer.json"
    chance = random.Random(0)
    voices, consents = Kept("/v1/audio/voices"), Kept("/v1/audio/voice_consents")
    done = {"renames": 0, "deletions": 0, "consents": 0}
    with started(crash.run, tokenizer, tmp_path) as (_, url), httpx.Client(base_url=url, timeout=240) as http:
        for n in range(3):
            voices.add(upload(http, f"Voice {n}", VOICE))
        begun = time.monotonic()
        voices.delete(http, voices.add(upload(http, "Short-lived", VOICE)))
        consents.delete(http, consents.add(agree(http, VOICE)))
        undisturbed = time.monotonic() - begun

    for kill in range(KILLS):
        with started(crash.run, tokenizer, tmp_path) as (process, url):
            with httpx.Client(base_url=url, timeout=240) as http:
                voices.check(http)
                consents.check(http)

            def attack(kind: str, url: str = url, kill: int = kill) -> None:
                with httpx.Client(base_url=url, timeout=240) as http, suppress(httpx.TransportError):  # it was killed
                    for n in range(1000):
                        if kind == "renames":
                            voices.rename(http, next(iter(voices.names)), f"Renamed {kill} {n}")
                        elif kind == "deletions":
                            voices.delete(http, voices.add(upload(http, f"Short-lived {kill} {n}", VOICE)))
                        else:
                            key = consents.add(agree(http, VOICE, name=f"Ada {kill} {n}"))
                            consents.rename(http, key, f"Ada Renamed {kill} {n}")
                            consents.delete(http, key)
                        done[kind] += 1

            threads = [threading.Thread(target=attack, args=(kind,)) for kind in done]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0, 3 * undisturbed))
            process.kill()
            for thread in threads:
                thread.join()

    with started(crash.run, tokenizer, tmp_path) as (_, url), httpx.Client(base_url=url, timeout=240) as http:
        voices.check(http)
        consents.check(http)
    print(f"{KILLS} kills amid {done}")
    assert min(done.values()) > 0


@contextmanager
def command(directory: Path, **settings: Any) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`fast-spark serve`, which ends by itself or is killed."""
    log = directory / "log"
    file = settings_file(directory, **settings)
    with log.open("wb") as output:
        arguments = [COMMAND, "serve", "--port", "0", "--config", str(file)]
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("signals", "codes"),
    [
        ((signal.SIGTERM, signal.SIGTERM), (0,)),
        ((signal.SIGINT, signal.SIGINT), (0, 130)),
        ((signal.SIGINT,), (0, 130)),
    ],
)
def test_the_signal_to_stop_ends_a_stream_and_the_process(
    tmp_path: Path, signals: tuple[signal.Signals, ...], codes: tuple[int, ...]
) -> None:
    """A second signal does not wait for what runs; after one, `drain_seconds` are the bound."""
    with command(tmp_path, drain_seconds=60 if len(signals) > 1 else 1) as (process, log):
        url = wait_for_url(process, log)
        with (
            suppress(httpx.TransportError),
            httpx.Client(base_url=url, timeout=240) as http,
            http.stream("POST", "/v1/audio/speech", json=LONG) as answer,
        ):
            chunks = answer.iter_raw()
            next(chunks)
            process.send_signal(signals[0])
            if signals[1:]:  # two at once may be one
                wait_until(lambda: httpx.get(f"{url}/health/ready", timeout=240).status_code == 503)
                process.send_signal(signals[1])
            for _ in chunks:
                pass
        assert process.wait(120) in codes
    assert "Traceback" not in log.read_text(), log.read_text()


def test_a_start_that_is_killed_at_any_moment_is_started_again(tmp_path: Path) -> None:
    """A llama.cpp conversion, a database and caches may each be half made; the same directories are used again."""
    model = Path(shutil.copytree(checkpoints.locate("demo"), tmp_path / "model"))
    for made in model.rglob("*.gguf*"):
        made.unlink()
    chance = random.Random(1)
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data")}
    file = settings_file(tmp_path, {"backend": "llama-cpp", "model": str(model)})
    arguments = [COMMAND, "serve", "--port", "0", "--config", str(file)]

    def start(output: Path) -> subprocess.Popen[bytes]:
        with output.open("wb") as log:
            return subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT, env=environment)

    begun = time.monotonic()
    process = start(tmp_path / "whole")
    wait_for_url(process, tmp_path / "whole")
    longest = time.monotonic() - begun
    process.kill()
    process.wait()
    for made in [*model.rglob("*.gguf*"), tmp_path / "cache", tmp_path / "data"]:
        shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)

    for kill in range(10):
        process = start(tmp_path / f"log {kill}")
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.05, 1) * longest)
        process.kill()
        assert process.wait() == -signal.SIGKILL, (tmp_path / f"log {kill}").read_text()  # it had not failed before

    log = tmp_path / "log"
    process = start(log)
    try:
        answer = httpx.post(f"{wait_for_url(process, log)}/v1/audio/speech", json=SHORT, timeout=240)
        assert answer.status_code == 200, answer.text
    finally:
        process.terminate()
        assert process.wait(120) == 0
