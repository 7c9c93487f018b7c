"""The log at its default level contains no user data: no texts, keys, samples or chosen names."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.attacks.running import SHORT, Attacked, settings_file
from tests.server.conftest import running_command
from tests.server.uploads import agree, sound

KEY, WRONG_KEY = "a-key-that-nobody-may-see", "a-wrong-key-that-nobody-may-see"
SECRETS = ["Zanzibar", "Quixote", "Rumpelstiltskin", "Nightingale", "Persephone", KEY, WRONG_KEY]


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Attacked]:
    file = settings_file(tmp_path, api_keys={"ada": KEY})
    with running_command(tmp_path / "log", "--config", str(file)) as running:
        yield Attacked(running.url, running.log, running.pid, tmp_path)


def test_the_log_has_nothing_of_what_users_send(keyed: Attacked) -> None:
    text = "Zanzibar is far away, said Quixote."
    sample = sound(rate=48_000)
    with httpx.Client(base_url=keyed.url, timeout=60, headers={"Authorization": f"Bearer {KEY}"}) as http:

        def speak(**fields: object) -> httpx.Response:
            return http.post("/v1/audio/speech", json=SHORT | {"input": text} | fields)

        assert speak().status_code == 200
        assert speak(stream_format="sse").status_code == 200
        assert speak(instructions="Sound like Rumpelstiltskin.").status_code == 200
        for wrong in (
            {"voice": "Rumpelstiltskin"},
            {"input": [text]},
            {"input": "..."},
            {"model": "Quixote"},
            {"speed": "Quixote"},
            {"Quixote": text},
            {"response_format": "Zanzibar"},
            {"input": text * 200},
            {"voice": {"id": "Nightingale", "Zanzibar": 1}},
        ):
            speak(**wrong)
        broken = json.dumps(SHORT | {"input": text})[:-3].encode()
        http.post("/v1/audio/speech", content=broken, headers={"Content-Type": "application/json"})
        http.post("/v1/audio/speech", content=text.encode(), headers={"Content-Type": "text/plain"})
        for key in (WRONG_KEY, KEY + "x", KEY[:-1]):
            http.post("/v1/audio/speech", json=SHORT, headers={"Authorization": f"Bearer {key}"})
            http.get("/v1/audio/voices", headers={"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"})

        form = {"name": "Nightingale", "transcript": "Persephone spoke."}
        made = http.post("/v1/audio/voices", data=form, files={"audio_sample": ("Persephone.wav", sample)})
        assert made.status_code == 200, made.text
        assert speak(voice="Nightingale").status_code == 200
        assert speak(voice=made.json()["id"]).status_code == 200
        http.post("/v1/audio/voices", data=form, files={"audio_sample": ("Persephone.wav", b"Zanzibar" * 9)})
        assert agree(http, sample, name="Nightingale agrees").status_code == 200
        with suppress(httpx.ReadTimeout):
            impatient = httpx.Timeout(60, read=0.3)
            http.post("/v1/audio/speech", json=SHORT | {"input": text * 100, "max_tokens": 500}, timeout=impatient)
        http.get("/v1/audio/voices", headers={"X-Request-Id": text})

    log = keyed.log.read_text()
    assert "outcome=ok" in log  # it is the log
    assert made.json()["id"] in log
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    parts = [sample[n : n + 24] for n in (100, 5_000, 50_000)]
    encoded = [form for part in parts for form in (part.hex(), base64.b64encode(part).decode(), repr(part)[2:-1])]
    for secret in (*SECRETS, hashed, *encoded):
        assert secret not in log, next(line for line in log.splitlines() if secret in line)
