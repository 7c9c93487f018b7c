"""Pauses, SSML, dialogues, respellings and times over real HTTP, with OpenAI's client and FFmpeg."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from fastapi import FastAPI

from engine.tokens.vocabulary import Vocabulary
from server.encoding import FORMATS, AudioFormat
from server.settings import Settings
from tests.server.audio import DELAY, decoded
from tests.server.commands import refused, run
from tests.server.conftest import Server
from tests.server.errors import assert_error
from tests.server.fakes import BODY, Fakes, ready
from tests.waiting import wait_until

TEXT = "The first sentence is here. [pause:1.5s] And a second one."
URL = "/v1/audio/speech"


@pytest.fixture
def server(vocabulary: Vocabulary, tmp_path: Path, serve: Callable[[FastAPI], Server]) -> Server:
    return serve(Fakes(vocabulary, tmp_path, Settings()).app)


@pytest.fixture
def http(server: Server) -> httpx.Client:
    http = httpx.Client(base_url=server.url, timeout=60)
    wait_until(lambda: ready(http))
    return http


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]


def longest_silence(samples: np.ndarray[Any, np.dtype[np.float32]]) -> int:
    loud = np.flatnonzero(np.abs(samples) > 0.1 * np.abs(samples).max())
    return int(np.diff(loud, prepend=-1, append=len(samples)).max())


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_pause_is_heard_in_every_format(http: httpx.Client, audio_format: AudioFormat, stream: bool) -> None:
    body = BODY | {"input": TEXT, "response_format": audio_format, "stream": stream}
    samples, _ = decoded(http.post(URL, json=body).raise_for_status().content, audio_format)
    assert len(samples) == pytest.approx(1.9 * 24_000, abs=DELAY.get(audio_format, 0) + 1)
    blur = 3000 if audio_format == "opus" else 700  # samples; a constant, as the fakes speak, rings in Opus
    assert longest_silence(samples) == pytest.approx(36_000, abs=blur)


def test_sse_has_the_times_as_they_are_known(http: httpx.Client) -> None:
    body = BODY | {"input": TEXT, "stream_format": "sse", "timestamps": True}
    sent = events(http.post(URL, json=body).raise_for_status())
    times = [event for event in sent if event["type"] == "speech.audio.timestamps"]
    assert [(time["start"], time["end"]) for time in times] == [(0, 0.2), (1.7, 1.9)]
    assert [TEXT[slice(*time["span"])] for time in times] == [time["text"] for time in times]
    assert [time["speaker"] for time in times] == ["alloy", "alloy"]
    kinds = [event["type"] for event in sent]
    assert kinds.index("speech.audio.timestamps") < len(kinds) - 4
    without = events(http.post(URL, json=body | {"timestamps": False}).raise_for_status())
    assert {event["type"] for event in without} == {"speech.audio.delta", "speech.audio.done"}


def test_json_has_the_audio_and_the_times(http: httpx.Client) -> None:
    text = "<speak>One <emphasis>sentence</emphasis>. <mark name='m'/><break time='1s'/>Two sentences.</speak>"
    body = BODY | {"input": text, "input_format": "ssml", "response_format": "json", "audio_format": "wav"}
    response = http.post(URL, json=body).raise_for_status()
    answer = response.json()
    samples, rate = decoded(base64.b64decode(answer["audio"]), "wav")
    assert answer["seconds"] == len(samples) / rate
    assert [time["text"] for time in answer["timestamps"]] == ["One sentence.", "Two sentences."]
    assert [mark["name"] for mark in answer["marks"]] == ["m"]
    assert answer["ignored_elements"] == ["emphasis"]
    assert response.headers["X-Ignored-Elements"] == "emphasis"


def test_a_stream_names_markup_without_effect_before_its_audio(http: httpx.Client) -> None:
    body = BODY | {"input": "<speak>Hi <audio/>there.</speak>", "input_format": "ssml"}
    assert http.post(URL, json=body).headers["X-Ignored-Elements"] == "audio"
    first = events(http.post(URL, json=body | {"stream_format": "sse"}))
    assert [event["ignored_elements"] for event in first if event["type"] == "speech.audio.warning"] == [["audio"]]


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": "<speak>\n<p>Hi.</speak>", "input_format": "ssml"}, "input", "line 2, column 9"),
        ({"input": "Hi. [pause:31s]"}, "input", "the longest is 30 s"),
        (
            {"input": "Eve: Hi.", "input_format": "dialogue", "voices": {"Ann": "nova"}},
            "voices",
            "'Eve', who has no voice",
        ),
        ({"input": "Ann: Hi.", "input_format": "dialogue", "voices": {"Ann": "x"}}, "voice", "no voice 'x'"),
        ({"timestamps": True}, "timestamps", "stream_format sse or response_format json"),
        ({"response_format": "json", "stream_format": "sse"}, "stream_format", "one whole response"),
        ({"lexicon": {" ": "x"}}, "lexicon", "blank"),
        ({"input_format": "xml"}, "input_format", "'text', 'ssml' or 'dialogue'"),
    ],
)
def test_what_is_wrong_is_said(http: httpx.Client, fields: dict[str, Any], param: str, message: str) -> None:
    assert_error(http.post(URL, json=BODY | fields), 400, param, message)


def test_a_document_of_four_megabytes_is_refused(http: httpx.Client) -> None:
    body = BODY | {"input": "<speak>" + "<p>" * 1_300_000, "input_format": "ssml"}
    assert http.post(URL, json=body).status_code == 413


def test_a_respelling_changes_the_text_that_is_read(http: httpx.Client) -> None:
    body = {"input": "A GIF.", "lexicon": {"GIF": "jif"}}
    [sentence] = http.post("/v1/audio/text", json=body).raise_for_status().json()["data"]
    assert sentence["text"] == "A jif."
    assert sentence["changes"] == [{"rule": "lexicon", "written": "GIF", "spoken": "jif"}]


def test_openai_clients_can_ask_for_it(server: Server, http: httpx.Client) -> None:
    fields = {"input_format": "dialogue", "voices": {"Ann": "nova", "Bob": "echo"}, "max_tokens": 10}
    spoken = server.client().audio.speech.create(
        model="tts-1", voice="alloy", input="Ann: Hi, Bob.\nBob: Hi, Ann.", response_format="pcm", extra_body=fields
    )
    assert len(spoken.content) == 2 * round(0.7 * 24_000)
    with pytest.raises(openai.BadRequestError, match="who has no voice"):
        server.client().audio.speech.create(model="tts-1", voice="alloy", input="Eve: Hi.", extra_body=fields)


@pytest.mark.slow
def test_say_writes_subtitles(tmp_path: Path) -> None:
    files = {name: str(tmp_path / f"speech.{name}") for name in ("wav", "srt", "vtt")}
    run(
        "say",
        "Hello there. [pause:1s] It costs $5 & more.",
        "-o",
        files["wav"],
        "--srt",
        files["srt"],
        "--vtt",
        files["vtt"],
    )
    subtitles = (tmp_path / "speech.srt").read_text().split("\n\n")
    assert [subtitle.split("\n")[0] for subtitle in subtitles] == ["1", "2"]
    assert subtitles[0].startswith("1\n00:00:00,000 --> 00:00:0")
    assert "It costs $5 & more." in subtitles[1]
    assert "<v alloy>It costs $5 &amp; more." in (tmp_path / "speech.vtt").read_text()


def test_a_lexicon_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "words.pls").write_text("<lexicon")
    line = refused(
        "say",
        "Hi.",
        "-o",
        str(tmp_path / "a.wav"),
        FAST_SPARK_ENGINE__LEXICONS=json.dumps([str(tmp_path / "words.pls")]),
    )
    assert "words.pls cannot be parsed" in line
