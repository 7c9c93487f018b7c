"""POST /v1/audio/speech of the real server, as the OpenAI SDK, curl and browsers use it."""

import base64
import json
import re
import subprocess
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import openai
import pytest

from server.encoding import FORMATS, MEDIA_TYPES, AudioFormat
from tests.server.audio import DELAY, SHORT, decoded, pcm
from tests.server.conftest import Server


@pytest.fixture(scope="module")
def reference(server: Server) -> npt.NDArray[np.float32]:
    """The samples that every format must carry."""
    response = server.client().audio.speech.create(
        model="tts-1", voice="alloy", input="Hello there.", response_format="pcm", extra_body=SHORT
    )
    return pcm(response.content)


def test_pcm_is_24_kilohertz(reference: npt.NDArray[np.float32]) -> None:
    assert len(reference) == 60 * 320 * 24_000 // 16_000
    assert np.abs(reference).max() > 0.01


@pytest.mark.parametrize("audio_format", FORMATS)
def test_every_format_carries_the_same_speech(
    client: openai.OpenAI, reference: npt.NDArray[np.float32], audio_format: AudioFormat
) -> None:
    response = client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Hello there.", response_format=audio_format, extra_body=SHORT
    )
    assert response.response.headers["content-type"] == MEDIA_TYPES[audio_format]
    samples, rate = decoded(response.content, audio_format)
    assert rate == (48_000 if audio_format == "opus" else 24_000)  # Opus always says 48 kHz
    extra = len(samples) - len(reference)
    assert 0 <= extra <= DELAY.get(audio_format, 0)
    if audio_format in ("wav", "pcm", "flac"):
        np.testing.assert_array_equal(samples, reference)
    else:
        lags = range(extra + 1)
        best = max(np.corrcoef(samples[lag : lag + len(reference)], reference)[0, 1] for lag in lags)
        assert best > 0.8  # white noise, which is what a synthetic model says, is what codecs render worst


def test_mp3_is_the_default(http: httpx.Client) -> None:
    response = http.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "Hi.", **SHORT})
    assert response.headers["content-type"] == "audio/mpeg"
    assert "chunked" in response.headers["transfer-encoding"]
    assert len(decoded(response.content, "mp3")[0]) > 24_000


def test_the_same_seed_says_the_same_and_another_something_else(http: httpx.Client) -> None:
    body = {"model": "tts-1", "voice": "nova", "input": "Hi there.", "response_format": "pcm", "max_tokens": 20}
    one, again, two, fresh = (
        http.post("/v1/audio/speech", json=body | extra).content
        for extra in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {})
    )
    assert one == again
    assert len({one, two, fresh}) == 3


def test_voices_differ(http: httpx.Client) -> None:
    body = {"model": "tts-1", "input": "Hi there.", "response_format": "pcm", "max_tokens": 20, "seed": 1}
    voices: list[dict[str, object]] = [{"voice": name} for name in ("alloy", "echo", "female", "male")]
    voices += [{"voice": "female", "pitch": "very_high"}, {"voice": {"id": "male"}, "gender": "female", "pitch": "low"}]
    answers = [http.post("/v1/audio/speech", json=body | voice) for voice in voices]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.content for answer in answers}) == 6


@pytest.mark.parametrize(("speed", "rate"), [(0.25, 24_000), (2.0, 24_000), (4.0, 48_000), (1.0, 16_000)])
def test_speed_and_rate(http: httpx.Client, speed: float, rate: int) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "pcm", **SHORT}
    response = http.post("/v1/audio/speech", json=body | {"speed": speed, "sample_rate": rate})
    assert len(pcm(response.content)) == pytest.approx(1.2 * rate / speed, abs=2)


def test_a_text_of_many_sentences_is_spoken_whole(http: httpx.Client) -> None:
    text = "The first sentence is here. 第二句话在这里。 The third one has 3.5 reasons to be long, says Dr. Smith."
    body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm", "max_tokens": 10}
    response = http.post("/v1/audio/speech", json=body)
    pauses = 2 * 0.35  # seconds
    assert len(pcm(response.content)) == round((3 * 10 / 50 + pauses) * 24_000)


def test_server_sent_events(http: httpx.Client, reference: npt.NDArray[np.float32]) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "pcm", **SHORT}
    response = http.post("/v1/audio/speech", json=body | {"stream_format": "sse"})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    np.testing.assert_array_equal(pcm(audio), reference)
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["output_tokens"] == 60
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + 60


@pytest.mark.parametrize("audio_format", FORMATS)
def test_streams_and_the_whole_hold_the_same_samples(http: httpx.Client, audio_format: AudioFormat) -> None:
    # One sentence of several windows: two would share batches by chance, which moves the last bits of their samples.
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": audio_format, **SHORT}
    whole = http.post("/v1/audio/speech", json=body).content
    with http.stream("POST", "/v1/audio/speech", json=body) as response:
        pieces = list(response.iter_raw())
    events = [
        json.loads(line.removeprefix("data: "))
        for line in http.post("/v1/audio/speech", json=body | {"stream_format": "sse"}).text.splitlines()
        if line
    ]
    deltas = [base64.b64decode(event["audio"]) for event in events[:-1]]
    assert min(len(pieces), len(deltas)) >= 3
    expected, _ = decoded(whole, audio_format)
    assert len(expected) >= 60 * 480
    for streamed in (pieces, deltas):
        np.testing.assert_array_equal(decoded(b"".join(streamed), audio_format)[0], expected)


def test_the_accept_header_decides_nothing(http: httpx.Client) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "Hi.", "response_format": "wav", **SHORT}
    response = http.post("/v1/audio/speech", json=body, headers={"Accept": "text/event-stream"})
    assert response.headers["content-type"] == "audio/wav"


def test_the_sdk_streams(client: openai.OpenAI, reference: npt.NDArray[np.float32]) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="Hello there.", response_format="pcm", extra_body=SHORT
    ) as response:
        data = b"".join(response.iter_bytes())
    np.testing.assert_array_equal(pcm(data), reference)


def test_a_client_that_leaves_is_no_error(http: httpx.Client, server: Server) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "A sentence that takes its time. " * 20}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=httpx.Timeout(60, read=0.01))
    with http.stream("POST", "/v1/audio/speech", json=body) as response:
        next(response.iter_raw())
    assert http.get("/health/ready").status_code == 200  # and the server's log has no trace, see its fixture


def test_the_curl_line_that_the_server_prints_speaks(one_process: Server, tmp_path: Path) -> None:
    printed = re.search(r"curl .*?-o hello\.mp3", one_process.log.read_text(), re.DOTALL)
    assert printed
    subprocess.run(["bash", "-c", printed[0].replace("curl ", "curl --fail --silent ")], cwd=tmp_path, check=True)
    assert len(decoded((tmp_path / "hello.mp3").read_bytes(), "mp3")[0]) > 24_000
