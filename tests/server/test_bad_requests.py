"""Invalid requests get OpenAI's error body with the parameter's name, and never a 5xx."""

import json
from collections.abc import Callable, Iterator

import httpx
import openai
import pytest

from server.app import create_app
from server.settings import Settings
from tests.server.errors import assert_error

GOOD = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "max_tokens": 5}


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        ({"input": None}, "input", "Missing required parameter"),
        ({"input": ""}, "input", "at least 1 character"),
        ({"input": "x" * 4097}, "input", "at most 4096 characters"),
        ({"input": ["Hello"]}, "input", "valid string"),
        ({"model": 5}, "model", "valid string"),
        ({"voice": "nobody"}, "voice", "no voice 'nobody'"),
        ({"voice": {"id": "voice_123"}}, "voice", "no voice 'voice_123'"),
        ({"voice": "../../etc/passwd"}, "voice", "no voice"),
        ({"voice": "x\u0000y"}, "voice", "no voice"),
        ({"voice": {"id": "alloy", "name": "x"}}, "voice", "name"),
        ({"voice": {}}, "voice", "id"),
        ({"voice": ["alloy"]}, "voice", "valid string"),
        ({"voice": ""}, "voice", "at least 1"),
        ({"response_format": "ogg"}, "response_format", "'mp3', 'opus', 'aac', 'flac', 'wav', 'pcm' or 'json'"),
        ({"stream_format": "chunks"}, "stream_format", "'audio' or 'sse'"),
        ({"speed": 0.2}, "speed", "greater than or equal to 0.25"),
        ({"speed": 4.1}, "speed", "less than or equal to 4"),
        ({"speed": "1"}, "speed", "valid number"),
        ({"speed": True}, "speed", "valid number"),
        ({"instructions": "x" * 4097}, "instructions", "at most 4096"),
        ({"seed": 1.5}, "seed", "valid integer"),
        ({"seed": 2**63}, "seed", "less than"),
        ({"temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"top_k": -1}, "top_k", "greater than or equal to 0"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"repetition_penalty": 0}, "repetition_penalty", "greater than or equal to 0.1"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"pitch": "squeaky"}, "pitch", "'very_high'"),
        ({"gender": "robot"}, "gender", "'female' or 'male'"),
        ({"sample_rate": 12_345}, "sample_rate", "24000"),
        ({"sample_rate": 44_100, "response_format": "opus"}, "sample_rate", "opus"),
        ({"stream": "no"}, "stream", "valid boolean"),
        ({"voise": "alloy"}, "voise", "Unknown parameter: 'voise'. Did you mean 'voice'?"),
        ({"model": "x" * 257}, "model", "at most 256"),
        (
            {"voice": "alloy", "ref_audio": "https://example.com/voice.wav"},
            "ref_audio",
            "Unknown parameter: 'ref_audio'",
        ),
        ({"x\r\nX-Other: 1": 1}, "x\r\nX-Other: 1", "Unknown parameter"),
    ],
)
def test_a_wrong_field_is_named(http: httpx.Client, change: dict[str, object], param: str, message: str) -> None:
    assert_error(http.post("/v1/audio/speech", json=GOOD | change), 400, param, message)


@pytest.mark.parametrize("field", ["model", "input", "voice"])
def test_a_missing_field_is_named(http: httpx.Client, field: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != field}
    assert_error(http.post("/v1/audio/speech", json=body), 400, field, f"Missing required parameter: '{field}'")


@pytest.mark.parametrize(
    ("content", "content_type", "message"),
    [
        (b'{"model": ', "application/json", "not JSON"),
        (b"\xff\xfe\x00", "application/json", "cannot be read"),
        (b"[" * 100_000, "application/json", "cannot be read"),
        (b"", "application/json", "empty"),
        (b"null", "application/json", "JSON object"),
        (b"[]", "application/json", "JSON object"),
        (b'"hello"', "application/json", "JSON object"),
        (b'{"model": "tts-1"}', "application/x-www-form-urlencoded", "Content-Type: application/json"),
        (b'{"model": "tts-1"}', "text/plain", "Content-Type: application/json"),
    ],
)
def test_a_body_that_is_no_json_object(http: httpx.Client, content: bytes, content_type: str, message: str) -> None:
    response = http.post("/v1/audio/speech", content=content, headers={"Content-Type": content_type})
    assert_error(response, 400, None, message)


@pytest.mark.parametrize(
    ("field", "value"),
    [("speed", b"NaN"), ("temperature", b"Infinity"), ("input", rb'"\ud800"'), ("voice", rb'"\udfff"')],
)
def test_values_that_python_reads_but_json_does_not_have(http: httpx.Client, field: str, value: bytes) -> None:
    content = b'{"model": "tts-1", "voice": "alloy", "input": "Hi.", "%b": %b}' % (field.encode(), value)
    response = http.post("/v1/audio/speech", content=content, headers={"Content-Type": "application/json"})
    assert_error(response, 400, field, f"Invalid '{field}'")


JSON_PATHS = [
    path.format(voice_id="voice_0", consent_id="cons_0")
    for path, methods in create_app(Settings()).openapi()["paths"].items()
    if "application/json" in methods.get("post", {}).get("requestBody", {}).get("content", {})
]
LIMIT = Settings().max_json_bytes


def test_there_are_paths_that_take_json() -> None:
    assert "/v1/audio/speech" in JSON_PATHS
    assert len(JSON_PATHS) >= 3


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("size", [LIMIT, 12_000_000])
def test_a_body_that_is_too_large(http: httpx.Client, path: str, size: int) -> None:
    content = b'{"input": "' + b"x" * size + b'"}'

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    headers = {"Content-Type": "application/json"}
    assert_error(http.post(path, content=content, headers=headers), 413, None, f"larger than the limit of {LIMIT}")
    assert_error(http.post(path, content=chunks(), headers=headers), 413, None, "larger than")


def test_the_longest_texts_may_be_escaped(http: httpx.Client) -> None:
    longest = {"input": "𠀀" * 4096, "instructions": "𠀀" * 4096, "voice": "𠀀" * 256}
    response = http.post("/v1/audio/speech", json={**longest, "model": "tts-1"})  # twelve bytes each
    assert_error(response, 400, "voice", "no voice")


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("wrap", [lambda fields: fields, lambda fields: {"voice": fields}], ids=["outer", "inner"])
def test_an_object_has_a_hundred_fields_at_most(
    http: httpx.Client, path: str, wrap: Callable[[dict[str, int]], object]
) -> None:
    many = {f"x{number}": 0 for number in range(10_000)}
    assert_error(http.post(path, json=wrap(many)), 400, None, "more than 100 fields")


@pytest.mark.parametrize(
    "body", [GOOD | {"model": "m" * 100_000}, GOOD | {"x" * 100_000: 1}, {**GOOD, "voice": {"😀" * 9_000: 1}}]
)
def test_what_is_wrong_is_quoted_in_part(http: httpx.Client, body: dict[str, object]) -> None:
    response = http.post("/v1/audio/speech", json=body)
    assert response.status_code in (400, 404)
    error = response.json()["error"]
    assert len(error["message"]) <= 1000
    assert len(error["param"]) <= 100


@pytest.mark.parametrize(
    "change",
    [
        {"input": "Hi \ud83d there."},
        {"voices": {"A\ud83d": "alloy"}},
        {"voices": {"A": "alloy\ud83d"}},
        {"lexicon": {"hello": "\ud83d Hi"}},
        {"lexicon": {"\ud83d": "x"}},
        {"instructions": "\ud83d"},
    ],
)
def test_half_a_character_is_refused(http: httpx.Client, change: dict[str, object]) -> None:
    """JSON can have it in an escape, as of a text that was cut within an emoji; no encoding can."""
    headers = {"Content-Type": "application/json"}
    response = http.post("/v1/audio/speech", content=json.dumps(GOOD | change), headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == next(iter(change)), response.text


def test_a_name_with_half_a_character_is_refused(http: httpx.Client) -> None:
    content, headers = json.dumps(GOOD | {"\ud83d": 1}), {"Content-Type": "application/json"}
    response = http.post("/v1/audio/speech", content=content, headers=headers)
    assert_error(response, 400, None, "A name of a field is not valid Unicode")


def test_a_long_path_is_quoted_in_part(http: httpx.Client) -> None:
    assert len(http.get(f"/v1/{'x' * 10_000}").json()["error"]["message"]) <= 1000


def test_an_unknown_model_is_not_found(http: httpx.Client) -> None:
    response = http.post("/v1/audio/speech", json=GOOD | {"model": "tts-9"})
    assert_error(response, 404, "model", "'tts-9' does not exist")
    assert response.json()["error"]["code"] == "model_not_found"


def test_unknown_paths_and_methods(http: httpx.Client) -> None:
    assert_error(http.get("/v1/nothing"), 404, None, "GET /v1/nothing")
    assert_error(http.get("/v1/audio/speech"), 405, None, "does not take GET")


def test_the_sdk_raises_its_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no voice 'nobody'") as bad:
        client.audio.speech.create(model="tts-1", voice="nobody", input="Hi.")
    assert bad.value.param == "voice"
    with pytest.raises(openai.NotFoundError) as missing:
        client.audio.speech.create(model="tts-9", voice="alloy", input="Hi.")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("tts-9")


@pytest.mark.parametrize("field", ["seed", "top_k", "max_tokens", "sample_rate"])
def test_an_integer_may_have_a_point(http: httpx.Client, field: str) -> None:
    value = {"sample_rate": 16_000.0}.get(field, 5.0)
    assert http.post("/v1/audio/speech", json=GOOD | {field: value}).status_code == 200


def test_the_server_goes_on(http: httpx.Client) -> None:
    assert http.post("/v1/audio/speech", json=GOOD).status_code == 200
