"""HEAD, OPTIONS, Allow, trailing slashes and CORS preflights on every path."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from engine.tokens.vocabulary import Vocabulary
from server.app import create_app
from server.settings import Settings
from tests.server.conftest import Server, serving
from tests.server.fakes import BODY, Fakes, patient, ready
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]
DOCUMENTED: dict[str, dict[str, object]] = create_app(Settings()).openapi()["paths"]
PATHS = sorted(DOCUMENTED)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
ORIGIN = {"Origin": "https://studio.example"}


def allowed(path: str) -> set[str]:
    methods = {name.upper() for name in DOCUMENTED[path]} | {"OPTIONS"}
    return methods | {"HEAD"} if "GET" in methods else methods


def concrete(path: str) -> str:
    return path.replace("{model}", "tts-1").replace("{voice_id}", "alloy").replace("{consent_id}", "cons_0")


def allow(answer: httpx.Response) -> set[str]:
    return set(answer.headers["allow"].split(", "))


@pytest.fixture(scope="module")
def http(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = patient(cors_origins=[ORIGIN["Origin"]])
    with (
        serving(Fakes(vocabulary, tmp_path_factory.mktemp("methods"), settings).app) as running,
        httpx.Client(base_url=running.url, timeout=60) as http,
    ):
        wait_until(lambda: ready(http))
        yield http


@pytest.mark.parametrize("path", PATHS)
def test_options_names_the_methods(http: httpx.Client, path: str) -> None:
    answer = http.options(concrete(path))
    assert (answer.status_code, answer.content) == (204, b"")
    assert allow(answer) == allowed(path)


@pytest.mark.parametrize("path", PATHS)
def test_a_method_is_taken_or_refused_with_those_that_are(http: httpx.Client, path: str) -> None:
    for method in METHODS:
        answer = http.request(method, concrete(path))
        assert (answer.status_code == 405) == (method not in allowed(path)), (method, answer.text)
        if answer.status_code == 405:
            assert allow(answer) == allowed(path)


@pytest.mark.parametrize("path", [path for path in PATHS if "GET" in allowed(path)])
def test_head_is_get_without_the_body(http: httpx.Client, path: str) -> None:
    get, head = http.get(concrete(path)), http.head(concrete(path))
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # it counts
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("path", PATHS)
def test_a_slash_at_the_end_changes_nothing(http: httpx.Client, path: str) -> None:
    slashed = concrete(path).rstrip("/") + "/"
    assert allow(http.options(slashed)) == allowed(path)
    if "GET" in allowed(path):
        assert http.get(slashed).status_code == http.get(concrete(path)).status_code


def test_speech_with_a_slash_is_speech_without_a_redirect(http: httpx.Client) -> None:
    answer = http.post("/v1/audio/speech/", json=BODY | {"seed": 1})
    assert answer.status_code == 200
    assert answer.content == http.post("/v1/audio/speech", json=BODY | {"seed": 1}).content


@pytest.mark.parametrize("method", [*METHODS, "OPTIONS"])
def test_what_is_nowhere_is_404_in_every_method(http: httpx.Client, method: str) -> None:
    for path in ("/v1/nothing", "/v1/nothing/", "/v1/audio"):
        assert http.request(method, path).status_code == 404


def test_the_root_says_where_things_are(http: httpx.Client) -> None:
    places = http.get("/").json()
    assert "/v1/audio/speech" in places["api"]
    for name in ("documentation", "openapi", "live", "ready", "metrics"):
        assert http.get(places[name]).status_code == 200


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/live/", "/health/ready"])
def test_open_paths_need_no_key(vocabulary: Vocabulary, tmp_path: Path, serve: Serve, path: str) -> None:
    settings = patient(api_keys={"ada": "0123456789abcdef"})
    server = serve(Fakes(vocabulary, tmp_path, settings).app)
    for method in ("GET", "HEAD", "OPTIONS"):
        assert httpx.request(method, server.url + path, timeout=60).status_code in (200, 204, 503)
    assert httpx.options(f"{server.url}/v1/models").status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_browsers_may_ask_from_a_page_that_is_allowed(http: httpx.Client, path: str) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    answer = http.options(concrete(path), headers=ORIGIN | ask)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    refused = http.options(concrete(path), headers={"Origin": "https://other.example"} | ask)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("encoding", ["gzip", "GZip", "deflate", "br", "zstd"])
def test_a_compressed_body_is_refused_by_name(http: httpx.Client, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = http.post("/v1/audio/speech", content=gzip.compress(json.dumps(BODY).encode()), headers=headers)
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "identity"
    assert f"Content-Encoding: {encoding}; send it uncompressed" in answer.json()["error"]["message"]


def test_a_body_that_is_said_not_to_be_compressed_is_taken(http: httpx.Client) -> None:
    assert http.post("/v1/audio/speech", json=BODY, headers={"Content-Encoding": "identity"}).status_code == 200
