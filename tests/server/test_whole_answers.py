"""`stream: false`: one file of known length that all players read, with the same samples as a stream."""

import io
import socket
import wave
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
import soundfile
from fastapi import FastAPI

from engine.tokens.vocabulary import Vocabulary
from server.encoding import FORMATS, MEDIA_TYPES, AudioFormat
from tests.server.audio import DELAY, SHORT, decoded
from tests.server.conftest import Server
from tests.server.fakes import BODY, Fakes, ready
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]

ASKED = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", **SHORT}
SAMPLES = 60 * 480  # of 60 tokens at 24 kHz


@pytest.fixture
def fakes(vocabulary: Vocabulary, tmp_path: Path) -> Fakes:
    return Fakes(vocabulary, tmp_path)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_it_has_a_length_and_the_samples_of_the_stream(http: httpx.Client, audio_format: AudioFormat) -> None:
    body = ASKED | {"response_format": audio_format}
    streamed, whole = (http.post("/v1/audio/speech", json=body | {"stream": stream}) for stream in (True, False))
    assert "content-length" not in streamed.headers
    assert int(whole.headers["content-length"]) == len(whole.content)
    assert "transfer-encoding" not in whole.headers
    assert whole.headers["content-type"] == MEDIA_TYPES[audio_format]
    expected, heard = decoded(streamed.content, audio_format)[0], decoded(whole.content, audio_format)[0]
    if audio_format in ("wav", "flac", "pcm"):
        np.testing.assert_array_equal(heard, expected)
    assert 0 <= len(heard) - SAMPLES <= DELAY.get(audio_format, 0)


@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus"])
def test_its_header_says_how_long_it_is(client: openai.OpenAI, audio_format: AudioFormat) -> None:
    speech = client.audio.speech.create(
        model="tts-1",
        voice="alloy",
        input="Hello there.",
        response_format=audio_format,
        extra_body={**SHORT, "stream": False},
    )
    info = soundfile.info(io.BytesIO(speech.content))
    assert info.frames == SAMPLES * info.samplerate // 24_000
    assert len(soundfile.read(io.BytesIO(speech.content))[0]) == info.frames
    if audio_format == "wav":
        with wave.open(io.BytesIO(speech.content)) as file:
            assert file.getnframes() == SAMPLES


@pytest.mark.parametrize("change", [{}, {"stream": False}, {"stream_format": "sse"}])
def test_no_answer_is_kept_or_held_back_on_the_way(http: httpx.Client, change: dict[str, object]) -> None:
    answer = http.post("/v1/audio/speech", json=ASKED | change)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"


def test_events_stream_whatever_is_said_of_the_stream(http: httpx.Client) -> None:
    answer = http.post("/v1/audio/speech", json=ASKED | {"stream": False, "stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "speech.audio.done" in answer.text


def test_a_failure_in_the_middle_is_a_status(fakes: Fakes, serve: Serve) -> None:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=240) as http:
        wait_until(lambda: ready(http))
        http.post("/v1/audio/speech", json=BODY)
        fakes.language_model.fail_at = len(fakes.language_model.prompts) + 3
        answer = http.post("/v1/audio/speech", json=BODY | {"stream": False})
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "backend_failed")
        assert http.post("/v1/audio/speech", json=BODY | {"stream": False}).status_code == 200


def test_a_client_that_leaves_before_the_end_frees_its_place(fakes: Fakes, serve: Serve) -> None:
    with httpx.Client(base_url=serve(fakes.app).url, timeout=240) as http:
        wait_until(lambda: ready(http))
        http.post("/v1/audio/speech", json=BODY)
        fakes.language_model.pause_after = 40
        request = http.build_request("POST", "/v1/audio/speech", json=BODY | {"max_tokens": 100, "stream": False})
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with socket.create_connection((request.url.host, request.url.port or 80)) as connection:
            connection.sendall(f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.content)
            wait_until(lambda: fakes.language_model.running == 1)
        wait_until(lambda: fakes.language_model.running == 0)
        fakes.language_model.pause_after = None
        assert http.post("/v1/audio/speech", json=BODY | {"stream": False}).status_code == 200
