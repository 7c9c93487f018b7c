"""API keys: authentication, ownership of voices, and rate limits."""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import httpx
import openai
import pytest
from fastapi import FastAPI

from engine.tokens.vocabulary import Vocabulary
from server.auth import Keys
from server.rate_limits import KeyLimits, LimitReached
from server.settings import Settings, SettingsError, load_settings
from tests.server.conftest import Server
from tests.server.errors import assert_error
from tests.server.fakes import BODY, Fakes, patient, ready
from tests.server.uploads import agree, sound, upload
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]

ADA, BOB = "ada-0123456789abcdef", "bob-0123456789abcdef"
KEYS = {"ada": ADA, "bob": f"sha256:{hashlib.sha256(BOB.encode()).hexdigest()}"}
VOICES, CONSENTS, SPEECH = "/v1/audio/voices", "/v1/audio/voice_consents", "/v1/audio/speech"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class Clients:
    """A server with keys, and a client of each kind."""

    def __init__(self, serve: Serve, vocabulary: Vocabulary, directory: Path, **settings: object) -> None:
        self.fakes = Fakes(vocabulary, directory, patient(api_keys=KEYS, **settings))
        self.url = serve(self.fakes.app).url
        self.nobody = httpx.Client(base_url=self.url, timeout=60)
        self.ada = httpx.Client(base_url=self.url, timeout=60, headers=bearer(ADA))
        self.bob = httpx.Client(base_url=self.url, timeout=60, headers=bearer(BOB))
        wait_until(lambda: ready(self.nobody))


@pytest.fixture
def clients(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> Clients:
    return Clients(serve, vocabulary, tmp_path)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        ADA,
        f"Basic {ADA}",
        f"Bearer {ADA}x",
        f"Bearer {ADA} x",
        "Bearer \xe9",
    ],
)
def test_without_a_key_nothing_is_served(clients: Clients, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    for method, path in (
        ("POST", SPEECH),
        ("GET", VOICES),
        ("GET", "/v1/models"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
    ):
        response = clients.nobody.request(method, path, headers=headers)
        assert_error(response, 401, None, "Authorization: Bearer KEY")
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert response.headers["www-authenticate"] == "Bearer"
    assert clients.nobody.get("/health/live", headers=headers).status_code == 200
    assert clients.nobody.get("/health/ready", headers=headers).status_code == 200


def test_a_stranger_is_refused_before_a_body_is_read(clients: Clients) -> None:
    sent = 0

    def endless() -> object:
        nonlocal sent
        for _ in range(40):
            sent += 1
            yield bytes(2**20)

    with clients.nobody.stream("POST", VOICES, content=endless()) as response:
        assert response.status_code == 401


def test_with_a_key_everything_is(clients: Clients) -> None:
    for client in (clients.ada, clients.bob):
        assert client.post(SPEECH, json=BODY).status_code == 200
        for path in ("/v1/models", "/metrics", "/docs"):
            assert client.get(path).status_code == 200
    assert clients.nobody.get("/v1/models", headers={"Authorization": f"bearer  {ADA}"}).status_code == 200
    assert openai.OpenAI(base_url=f"{clients.url}/v1", api_key=ADA).models.list().data
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{clients.url}/v1", api_key="none").models.list()


def test_metrics_and_docs_can_be_opened(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    clients = Clients(serve, vocabulary, tmp_path, open_docs=True, open_metrics=True)
    for path in ("/metrics", "/docs", "/openapi.json"):
        assert clients.nobody.get(path).status_code == 200
    assert clients.nobody.get("/v1/models").status_code == 401
    assert "HTTPBearer" in clients.nobody.get("/openapi.json").text


def test_every_key_is_compared_whichever_fits() -> None:
    hashes = Settings.model_validate({"api_keys": {f"key{n}": f"{n:016}" for n in range(20)}}).keys()
    keys = Keys(hashes)
    compared = 0

    class Counted(dict[str, str]):
        def items(self) -> object:  # type: ignore[override]
            nonlocal compared
            for item in super().items():
                compared += 1
                yield item

    counted = Keys(Counted(hashes))
    for key in ("0" * 16, f"{19:016}", "none"):
        compared = 0
        assert counted.caller(f"Bearer {key}") == keys.caller(f"Bearer {key}")
        assert compared == 20


def test_private_voices_are_their_keys_own(clients: Clients) -> None:
    data = sound()
    mine = upload(clients.ada, "Voice", data, scope="private").json()["id"]
    details = clients.ada.get(f"{VOICES}/{mine}").json()
    assert (details["scope"], details["name"]) == ("private", "Voice")
    assert clients.ada.post(SPEECH, json=BODY | {"voice": "Voice"}).status_code == 200
    assert clients.ada.get(f"{VOICES}/{mine}/sample").content == data

    for voice in ("Voice", mine, {"id": mine}):
        assert_error(clients.bob.post(SPEECH, json=BODY | {"voice": voice}), 400, "voice", "no voice")
    for response in (
        clients.bob.get(f"{VOICES}/{mine}"),
        clients.bob.get(f"{VOICES}/{mine}/sample"),
        clients.bob.post(f"{VOICES}/{mine}", json={"name": "Stolen"}),
        clients.bob.delete(f"{VOICES}/{mine}"),
    ):
        assert_error(response, 404, "voice_id", f"no voice '{mine}'")
    assert mine not in clients.bob.get(VOICES, params={"limit": 100}).text
    assert upload(clients.bob, "Voice", data, scope="private").status_code == 200  # the name is free for him
    assert clients.ada.delete(f"{VOICES}/{mine}").status_code == 200


def test_shared_voices_are_used_by_all_and_changed_by_one(clients: Clients) -> None:
    consent = agree(clients.ada, sound()).json()["id"]
    words = "Two seconds of noise."
    ours = upload(clients.ada, "Ours", sound(), transcript=words, consent=consent).json()["id"]
    assert clients.bob.post(SPEECH, json=BODY | {"voice": "Ours"}).status_code == 200
    seen = clients.bob.get(f"{VOICES}/{ours}").json()
    assert seen["scope"] == "shared"
    assert not {"transcript", "consent"} & set(seen)
    assert clients.ada.get(f"{VOICES}/{ours}").json()["transcript"] == words
    for response in (
        clients.bob.get(f"{VOICES}/{ours}/sample"),
        clients.bob.post(f"{VOICES}/{ours}", json={"name": "Mine"}),
        clients.bob.post(f"{VOICES}/{ours}", json={"transcript": words}),
        clients.bob.delete(f"{VOICES}/{ours}"),
    ):
        assert_error(response, 403, "voice_id", "Only the key that made it")
    assert clients.ada.delete(f"{VOICES}/{ours}").status_code == 200


def test_consents_are_their_keys_own(clients: Clients) -> None:
    hers = agree(clients.ada, sound()).json()["id"]
    assert [item["id"] for item in clients.ada.get(CONSENTS).json()["data"]] == [hers]
    assert clients.bob.get(CONSENTS).json()["data"] == []
    for response in (
        clients.bob.get(f"{CONSENTS}/{hers}"),
        clients.bob.post(f"{CONSENTS}/{hers}", json={"name": "Mine"}),
        clients.bob.delete(f"{CONSENTS}/{hers}"),
    ):
        assert_error(response, 404, "consent_id", "no consent")
    made = upload(clients.bob, "Voice", sound(), consent=hers).json()
    assert any(f"no consent '{hers}'" in line for line in made["warnings"])


def test_a_key_has_so_many_requests_at_once(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    clients = Clients(serve, vocabulary, tmp_path, requests_per_key=1)
    model = clients.fakes.language_model
    clients.ada.post(SPEECH, json=BODY)
    model.gate.clear()
    begun = len(model.prompts)
    with ThreadPoolExecutor(2) as pool:
        hers = pool.submit(clients.ada.post, SPEECH, json=BODY)
        wait_until(lambda: len(model.prompts) > begun)
        second = httpx.post(f"{clients.url}{SPEECH}", json=BODY, headers=bearer(ADA), timeout=60)
        voice = httpx.post(
            f"{clients.url}{VOICES}", data={"name": "Bass", "gender": "male"}, headers=bearer(ADA), timeout=60
        )
        his = pool.submit(clients.bob.post, SPEECH, json=BODY)
        wait_until(lambda: len(model.prompts) > begun + 1)
        model.loop.call_soon_threadsafe(model.gate.set)
        assert (hers.result().status_code, his.result().status_code) == (200, 200)
    for refused in (second, voice):
        assert refused.status_code == 429
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert "1 requests at once" in refused.json()["error"]["message"]
        assert int(refused.headers["retry-after"]) >= 1
    assert clients.ada.post(SPEECH, json=BODY).status_code == 200


def test_a_key_has_so_many_characters_a_minute(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    clients = Clients(serve, vocabulary, tmp_path, characters_per_minute=4096)
    long = BODY | {"input": "word " * 600}
    assert clients.ada.post(SPEECH, json=long).status_code == 200
    refused = clients.ada.post(SPEECH, json=long)
    assert refused.status_code == 429
    assert "4096 characters a minute" in refused.json()["error"]["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert clients.ada.post(SPEECH, json=BODY).status_code == 200  # what is left
    assert clients.bob.post(SPEECH, json=long).status_code == 200


async def test_who_comes_back_when_told_to_is_served() -> None:
    limits = KeyLimits(None, 6000, lambda: 1, minute=1)  # whose minutes are seconds

    async def nothing() -> AsyncGenerator[None, None]:
        yield None

    async def speak(characters: int) -> None:
        async with aclosing(limits.stream("ada", characters, nothing())) as spoken:
            async for _ in spoken:
                pass

    told = 0
    for characters in (4000, 1000, 3000, 4096, 100, 4096):
        try:
            await speak(characters)
        except LimitReached as error:
            told += 1
            await asyncio.sleep(error.retry_after)
            await speak(characters)
    assert told


def test_cors_is_off_unless_it_is_set(clients: Clients, serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    asking = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    assert clients.nobody.options(SPEECH, headers=asking).status_code == 401
    assert not [name for name in clients.ada.get("/v1/models", headers=asking).headers if "access-control" in name]

    open_to = Clients(serve, vocabulary, tmp_path / "cors", cors_origins=["https://example.com"])
    allowed = open_to.nobody.options(SPEECH, headers=asking | {"Access-Control-Request-Headers": "authorization"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://example.com"
    assert open_to.nobody.get("/v1/models", headers=asking).headers["access-control-allow-origin"] == asking["Origin"]
    other = open_to.ada.get("/v1/models", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in other.headers


def test_keys_come_from_the_file_the_environment_and_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = tmp_path / "keys.yaml"
    more.write_text(f"eve: {'e' * 16}\n")
    file = tmp_path / "settings.yaml"
    file.write_text(f"api_keys:\n  ada: {KEYS['bob']}\napi_keys_file: {more}\n")
    assert set(load_settings(file).keys()) == {"ada", "eve"}
    monkeypatch.setenv("FAST_SPARK_API_KEYS", f'{{"bob": "{BOB}"}}')
    assert {"bob", "eve"} <= set(load_settings(file).keys())
    assert load_settings(file).keys()["bob"] == hashlib.sha256(BOB.encode()).hexdigest()
    assert BOB not in repr(load_settings(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ada: secret-one", "at least 16"),
        ("ada: sha256:secret-one", "at least 16"),
        ("ada: 1234567890123456", "valid string"),
        ("a b: secret-one-0123456789", "pattern"),
        ("- secret-one", "valid dictionary"),
        ("{secret-one", "not YAML"),
    ],
)
def test_keys_that_are_none_stop_the_start_and_are_not_shown(tmp_path: Path, content: str, message: str) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(content)
    settings = tmp_path / "settings.yaml"
    settings.write_text("api_keys:\n  " + content.replace("\n", "\n  "))
    with pytest.raises(SettingsError, match=message) as caught:
        Settings(api_keys_file=keys).keys()
    assert "secret-one" not in str(caught.value)
    if "{" not in content:
        with pytest.raises(SettingsError, match=message) as caught:
            load_settings(settings)
        assert "secret-one" not in re.sub(r"Setting [^:]*", "", str(caught.value))


def test_a_variable_or_a_file_of_keys_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="file of API keys cannot be read"):
        Settings(api_keys_file=tmp_path / "none").keys()
    monkeypatch.setenv("FAST_SPARK_API_KEYS", "secret-one")
    with pytest.raises(SettingsError, match=r"api_keys.*must be JSON") as caught:
        load_settings()
    assert "secret-one" not in str(caught.value)
