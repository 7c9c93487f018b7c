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

from engine import EngineConfig
from engine.tokens.vocabulary import Vocabulary
from engine.types import Passage, Samples
from server.encoding import FORMATS, AudioFormat
from tests.engine.fakes import FakeCodec
from tests.server.audio import DELAY, decoded
from tests.server.commands import refused, run
from tests.server.conftest import Server
from tests.server.errors import assert_error
from tests.server.fakes import BODY, Fakes, patient, ready
from tests.waiting import wait_until

TEXT = "The first sentence is here. [pause:1.5s] And a second one."
URL = "/v1/audio/speech"


class ToneCodec(FakeCodec):
    """Every token is 20 ms of a tone: Opus takes away a constant, which would ring into the silence after it."""

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        tone = (np.sin(np.arange(320) * (2 * np.pi / 64)) / 2).astype(np.float32)
        return [np.tile(tone, len(one.semantic[one.kept])) for one in items]


@pytest.fixture
def tones(vocabulary: Vocabulary, tmp_path: Path, serve: Callable[[FastAPI], Server]) -> httpx.Client:
    fakes = Fakes(vocabulary, tmp_path, patient(), codec=ToneCodec())
    http = httpx.Client(base_url=serve(fakes.app).url, timeout=240)
    wait_until(lambda: ready(http))
    return http


@pytest.fixture
def server(vocabulary: Vocabulary, tmp_path: Path, serve: Callable[[FastAPI], Server]) -> Server:
    return serve(Fakes(vocabulary, tmp_path, patient()).app)


@pytest.fixture
def http(server: Server) -> httpx.Client:
    http = httpx.Client(base_url=server.url, timeout=240)
    wait_until(lambda: ready(http))
    return http


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]


def longest_silence(samples: np.ndarray[Any, np.dtype[np.float32]]) -> int:
    loud = np.flatnonzero(np.abs(samples) > 0.1 * np.abs(samples).max())
    return int(np.diff(loud, prepend=-1, append=len(samples)).max())


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_pause_is_heard_in_every_format(tones: httpx.Client, audio_format: AudioFormat, stream: bool) -> None:
    body = BODY | {"input": TEXT, "response_format": audio_format, "stream": stream}
    samples, _ = decoded(tones.post(URL, json=body).raise_for_status().content, audio_format)
    assert len(samples) == pytest.approx(1.9 * 24_000, abs=DELAY.get(audio_format, 0) + 1)
    assert longest_silence(samples) == pytest.approx(36_000, abs=120)  # the fades on both sides are 120 each


@pytest.mark.parametrize("audio_format", FORMATS)
def test_times_are_those_of_the_decoded_audio_in_every_format(tones: httpx.Client, audio_format: AudioFormat) -> None:
    body = BODY | {"input": TEXT, "response_format": "json", "audio_format": audio_format, "speed": 0.8}
    answer = tones.post(URL, json=body | {"max_tokens": 25}).raise_for_status().json()
    samples, _ = decoded(base64.b64decode(answer["audio"]), audio_format)
    loud = np.flatnonzero(np.abs(samples) > 0.1 * np.abs(samples).max()) / 24_000
    first, second = answer["timestamps"]
    pause = int(np.argmax(np.diff(loud)))  # between the sentences
    heard = [loud[0], loud[pause], loud[pause + 1], loud[-1]]
    delay = 1024 / 24_000 if audio_format == "aac" else 0  # its encoder's, which ADTS cannot say
    times = [first["start"], first["end"], second["start"], second["end"]]
    assert [time + delay for time in times] == pytest.approx(heard, abs=0.012)
    assert answer["seconds"] == second["end"]


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
    ("text", "message"),
    [
        ('<!DOCTYPE s [<!ENTITY a "b">]><speak>&a;</speak>', "document type"),
        ('<!DOCTYPE s SYSTEM "file:///etc/passwd"><speak/>', "document type"),
        ("<speak>" + "<p>" * 1300, "more than 100 elements"),
        ("<speak>" + "<break time='1ms'/>" * 200, "not well-formed"),
        ("<speak>&#0;</speak>", "line 1, column 8"),
    ],
)
def test_hostile_ssml_is_refused_and_the_server_goes_on(http: httpx.Client, text: str, message: str) -> None:
    body = BODY | {"input": text, "input_format": "ssml"}
    assert_error(http.post(URL, json=body), 400, "input", message)
    assert http.post(URL, json=BODY).status_code == 200


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


PLS = """<?xml version="1.0" encoding="UTF-8"?>
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon" alphabet="ipa" xml:lang="en">
  <lexeme><grapheme>SQL</grapheme><grapheme>MySQL</grapheme><alias>sequel</alias></lexeme>
  <lexeme><grapheme>tomato</grapheme><phoneme>t@"mA:t@U</phoneme></lexeme>
</lexicon>
"""


def test_lexicons_are_files_for_all_requests(
    vocabulary: Vocabulary, tmp_path: Path, serve: Callable[[FastAPI], Server]
) -> None:
    (tmp_path / "words.pls").write_text(PLS, encoding="utf-8")
    (tmp_path / "words.yaml").write_text("GIF: jif\nen: {AI: A I}\nzh: {AI: 人工智能}\n", encoding="utf-8")
    config = EngineConfig(lexicons=(tmp_path / "words.pls", tmp_path / "words.yaml"))
    fakes = Fakes(vocabulary, tmp_path, patient(engine=config), config)
    with httpx.Client(base_url=serve(fakes.app).url, timeout=240) as http:
        wait_until(lambda: ready(http))

        def said(text: str, **fields: object) -> str:
            answer = http.post("/v1/audio/text", json={"input": text, **fields}).raise_for_status()
            return " ".join(sentence["text"] for sentence in answer.json()["data"])

        assert said("A GIF of MySQL by AI.") == "A jif of sequel by A I."
        assert said("A tomato, GIFs, gif.") == "A tomato, GIFs, gif."
        assert said("他用 AI 学习。").replace(" ", "") == "他用人工智能学习。"
        assert said("A GIF of SQL.", lexicon={"GIF": "ghif"}) == "A ghif of sequel."
        before = len(fakes.language_model.prompts)
        assert http.post(URL, json=BODY | {"input": "A GIF of SQL."}).status_code == 200
        assert http.post(URL, json=BODY | {"input": "A jif of sequel."}).status_code == 200
    respelt, written = fakes.language_model.prompts[before:][-2:]
    assert respelt == written


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


def test_the_command_text_reads_as_the_server_with_its_settings(tmp_path: Path) -> None:
    words, settings = tmp_path / "words.pls", tmp_path / "settings.yaml"
    words.write_text(PLS, encoding="utf-8")
    settings.write_text(json.dumps({"engine": {"lexicons": [str(words)]}}))
    expected = ["A bit of sequel.", "    lexicon: SQL -> sequel"]
    for result in (
        run("text", "--config", str(settings), "A bit of SQL."),
        run("text", "A bit of SQL.", FAST_SPARK_ENGINE__LEXICONS=json.dumps([str(words)])),
    ):
        assert result.stdout.splitlines() == expected


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
