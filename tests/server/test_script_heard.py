"""The demo model: two voices of a dialogue, told apart by their pitch, and a text that a language model is writing."""

import asyncio
import base64
import json
from collections.abc import Iterator

import httpx
import pytest
import soxr

from demo.evaluate import median_pitch
from engine.types import CODEC_SAMPLE_RATE, Samples
from tests.server.audio import decoded
from tests.server.conftest import Server, running_command
from tests.server.sessions import CONFIG, DONE, receive, send, session, texts

pytestmark = pytest.mark.slow

WRITTEN = "The weather is nice today. We could go to the river and have lunch there. What do you think about it?"
TOKEN_SECONDS = 0.03


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_command(tmp_path_factory.mktemp("demo") / "log") as running:
        yield running


def pitch(samples: Samples) -> float:
    return median_pitch(soxr.resample(samples, 24_000, CODEC_SAMPLE_RATE))


def test_two_speakers_are_told_apart_by_their_pitch(server: Server) -> None:
    lines = ["Is the door open?", "Yes, it is open.", "Then we can go in.", "Please come with me."]
    names = ["Ann", "Bob", "Ann", "Bob"]
    body = {
        "model": "tts-1",
        "voice": "alloy",
        "input": "\n".join(f"{name}: {line}" for name, line in zip(names, lines, strict=True)),
        "input_format": "dialogue",
        "voices": {"Ann": "female", "Bob": "male"},
        "response_format": "json",
        "audio_format": "flac",
        "seed": 1,
    }
    answer = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=100).raise_for_status().json()
    samples, rate = decoded(base64.b64decode(answer["audio"]), "flac")
    times = answer["timestamps"]
    assert [(time["speaker"], time["text"]) for time in times] == list(zip(names, lines, strict=True))
    heard = [pitch(samples[round(time["start"] * rate) : round(time["end"] * rate)]) for time in times]
    for high in heard[::2]:
        for low in heard[1::2]:
            assert high > 1.2 * low > 0, heard


async def test_speech_begins_while_a_language_model_is_still_writing(server: Server) -> None:
    """The last token is written only after audio was heard: it is not the whole text that is waited for."""
    words = WRITTEN.split(" ")
    async with session(server, CONFIG | {"max_tokens": None, "flush_after_seconds": 600}) as client:
        for word in words[:-1]:
            await send(client, *texts([f"{word} "]))
            await asyncio.sleep(TOKEN_SECONDS)  # as a language model writes
        while not isinstance(message := await client.recv(), bytes):
            assert json.loads(message)["type"] == "audio.start"
        await send(client, *texts(words[-1:]), DONE)
        begun = message
        heard = await receive(client, units=[begun])
    sentences = [time["sentence_text"] for time in heard.of("audio.start")]
    assert sentences == ["We could go to the river and have lunch there.", "What do you think about it?"]
    assert heard.done["seconds"] == pytest.approx(sum(map(len, heard.units)) / 48_000)
