"""Text normalization over HTTP, on the command line, and in a speech request."""

import json
import subprocess

import httpx
import pytest

from tests.server.commands import COMMAND


def read(http: httpx.Client, text: str, **options: object) -> list[dict]:
    response = http.post("/v1/audio/text", json={"input": text, **options})
    assert response.status_code == 200, response.text
    return response.json()["data"]


def test_sentences_and_what_was_changed_in_them(http: httpx.Client) -> None:
    first, second = read(http, "It costs $3.50. That is all.")
    assert first["text"] == "It costs three dollars and fifty cents."
    [change] = first["changes"]
    assert (change["written"], change["spoken"]) == ("$3.50", "three dollars and fifty cents")
    assert second == {"text": "That is all.", "changes": []}
    assert read(http, "😊...") == []


@pytest.mark.parametrize(
    ("text", "options", "spoken"),
    [
        ("12", {}, "twelve"),
        ("12", {"language": "zh-CN"}, "十二"),
        ("12", {"language": "Chinese"}, "十二"),
        ("12", {"language": "auto"}, "twelve"),
        ("12", {"language": None, "emoji": None, "normalize": None}, "twelve"),
        ("It costs $3.50.", {"normalize": False}, "It costs $3.50."),
        ("Hello 😀", {"emoji": "name"}, "Hello grinning face"),
    ],
)
def test_options(http: httpx.Client, text: str, options: dict[str, object], spoken: str) -> None:
    assert [sentence["text"] for sentence in read(http, text, **options)] == [spoken]


@pytest.mark.parametrize(
    ("body", "param"), [({"input": ""}, "input"), ({}, "input"), ({"input": "Hi.", "emoji": "loud"}, "emoji")]
)
def test_bad_requests(http: httpx.Client, body: dict[str, object], param: str) -> None:
    response = http.post("/v1/audio/text", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_speech_is_read_as_asked(http: httpx.Client) -> None:
    """The prompt holds the text as it is spoken, so its length tells how it was read."""

    def prompt_tokens(**options: object) -> int:
        body = {"model": "tts-1", "voice": "alloy", "input": "$3.50", "stream_format": "sse", "max_tokens": 5}
        response = http.post("/v1/audio/speech", json=body | options)
        assert response.status_code == 200, response.text
        [*_, last] = [line for line in response.text.splitlines() if line.startswith("data: ")]
        return json.loads(last.removeprefix("data: "))["usage"]["input_tokens"]

    assert prompt_tokens(normalize=False) < prompt_tokens(language="zh") < prompt_tokens()


def test_the_command_prints_each_change() -> None:
    done = subprocess.run([COMMAND, "text", "It costs $3.50 😊"], capture_output=True, text=True, timeout=240)
    assert done.stdout.splitlines() == [
        "It costs three dollars and fifty cents",
        "    money: $3.50 -> three dollars and fifty cents",
        "    characters: 😊 -> (left out)",
    ]
