"""Times of words: a listener that hears bursts of sound, and where these are in the answer's audio."""

import base64
import io
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI, Form, UploadFile
from fastapi.responses import JSONResponse, Response

from engine import EngineConfig, ListenerConfig, Observer, PauseConfig, Samples, SpeechEngine
from engine.tokens.vocabulary import Vocabulary
from engine.types import Passage, Prompt, Sampling
from engine.voices.database import Database
from server.app import create_app
from tests.engine.fakes import FakeCodec, FakeLanguageModel
from tests.server.audio import decoded
from tests.server.conftest import Server
from tests.server.fakes import BODY, patient, ready
from tests.waiting import NEVER, wait_until

Serve = Callable[[FastAPI], Server]

TEXT = "The first sentence is here. [pause:1.5s] And a second one."
ASKED = {**BODY, "input": TEXT, "max_tokens": 50, "stream_format": "sse", "timestamps": True, "seed": 5}
URL = "/v1/audio/speech"


class BurstyLanguageModel(FakeLanguageModel):
    """Says silence and sound by turns: 0.24 s of each."""

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        async for tokens in super().generate(prompt, sampling, due):
            first = self.vocabulary.semantic.first
            yield [
                first + number // 12 % 2 if token in self.vocabulary.semantic.ids else token
                for number, token in enumerate(tokens)
            ]


class BurstyCodec(FakeCodec):
    """Token 1 is sound, all others are silence."""

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        tone = np.sin(np.arange(320) * (2 * np.pi / 20)).astype(np.float32) / 2
        return [np.concatenate([tone * (token == 1) for token in one.semantic[one.kept]]) for one in items]


def bursts(samples: Samples, rate: int) -> list[tuple[float, float]]:
    """Where there is sound, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    gaps = np.flatnonzero(np.diff(loud) > 0.1 * rate)
    starts, ends = [loud[0], *loud[gaps + 1]], [*loud[gaps], loud[-1]]
    return [(float(start / rate), float(end / rate)) for start, end in zip(starts, ends, strict=True)]


class BurstListener:
    """OpenAI's transcriptions: each burst is a word. `shape` makes the answer of the words."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.shape: Callable[[list[dict[str, Any]]], object] = lambda words: {"text": "b", "words": words}
        self.app = FastAPI()
        self.app.add_api_route("/v1/audio/transcriptions", self.transcribe, methods=["POST"], response_model=None)

    def transcribe(
        self,
        file: UploadFile,
        response_format: Annotated[str, Form()],
        granularities: Annotated[list[str], Form(alias="timestamp_granularities[]")],
    ) -> Response:
        assert self.may_answer.wait(NEVER)
        assert (response_format, granularities) == ("verbose_json", ["word"])
        samples, rate = soundfile.read(io.BytesIO(file.file.read()), dtype="float32")
        found = [{"word": "burst", "start": start, "end": end} for start, end in bursts(samples, rate)]
        answer = self.shape(found)
        return answer if isinstance(answer, Response) else JSONResponse(answer)


@pytest.fixture
def listener() -> BurstListener:
    return BurstListener()


@contextmanager
def speaking(serve: Serve, vocabulary: Vocabulary, directory: Path, url: str | None) -> Iterator[httpx.Client]:
    config = EngineConfig(
        retakes=0,
        pauses=PauseConfig(sentence_seconds=0.3),
        listener=None if url is None else ListenerConfig(url=url, seconds=NEVER),
    )

    def load(observer: Observer) -> SpeechEngine:
        model, codec = BurstyLanguageModel(vocabulary), BurstyCodec()
        database = Database.in_directory(directory)
        return SpeechEngine(config, "weights-1", vocabulary, model, codec, database, observer=observer)

    with httpx.Client(base_url=serve(create_app(patient(), load)).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        yield http


@pytest.fixture
def http(serve: Serve, vocabulary: Vocabulary, tmp_path: Path, listener: BurstListener) -> Iterator[httpx.Client]:
    with speaking(serve, vocabulary, tmp_path, serve(listener.app).url) as http:
        yield http


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = response.raise_for_status().text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def of(kind: str, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in sent if event["type"] == kind]


def words_of(sent: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(word["start"], word["end"]) for event in of("speech.audio.words", sent) for word in event["words"]]


@pytest.mark.parametrize("speed", [1.0, 0.7, 1.6])
def test_words_are_where_they_are_heard(http: httpx.Client, speed: float) -> None:
    """After trimming, a tempo, a pause and joins."""
    text = TEXT + " It has a third one, which follows at once."
    sent = events(http.post(URL, json=ASKED | {"input": text, "speed": speed}))
    audio = b"".join(base64.b64decode(event["audio"]) for event in of("speech.audio.delta", sent))
    heard = bursts(np.frombuffer(audio, "<i2") / np.float32(32768), 24_000)
    assert len(heard) == 6  # two of each sentence
    assert [place for word in words_of(sent) for place in word] == pytest.approx(
        [place for word in heard for place in word], abs=0.01 if speed == 1 else 0.06
    )  # a tempo is changed in windows of 60 ms, which it moves
    assert [event["sentence"] for event in of("speech.audio.words", sent)] == [0, 1, 2]
    for words, times in zip(of("speech.audio.words", sent), of("speech.audio.timestamps", sent), strict=True):
        assert times["start"] <= words["words"][0]["start"] < words["words"][-1]["end"] <= times["end"]


def test_json_has_the_words_of_each_sentence(http: httpx.Client) -> None:
    asked = {name: value for name, value in ASKED.items() if name not in ("stream_format", "timestamps")}
    answer = http.post(URL, json=asked | {"response_format": "json", "audio_format": "flac"}).raise_for_status().json()
    samples, rate = decoded(base64.b64decode(answer["audio"]), "flac")
    words = [word for sentence in answer["timestamps"] for word in sentence["words"]]
    assert [word["word"] for word in words] == ["burst"] * 4
    assert [word["start"] for word in words] == pytest.approx([start for start, _ in bursts(samples, rate)], abs=0.01)


def test_the_audio_does_not_wait_for_the_words(http: httpx.Client, listener: BurstListener) -> None:
    """Also not the last of it, which an encoder holds back until its end."""
    asked = ASKED | {"response_format": "mp3"}
    alone = events(http.post(URL, json=asked | {"timestamps": False}))
    expected = sum(len(base64.b64decode(event["audio"])) for event in of("speech.audio.delta", alone))
    listener.may_answer.clear()
    received, kinds = 0, []
    with http.stream("POST", URL, json=asked) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                kinds.append(event["type"])
                received += len(base64.b64decode(event.get("audio", "")))
                if received == expected and not listener.may_answer.is_set():
                    assert kinds.count("speech.audio.timestamps") == 2
                    listener.may_answer.set()
    assert kinds[-3:] == ["speech.audio.words", "speech.audio.words", "speech.audio.done"]


def test_words_in_whisper_cpp_s_segments_are_joined_of_their_tokens(
    http: httpx.Client, listener: BurstListener
) -> None:
    def segments(words: list[dict[str, Any]]) -> object:
        first, second = words
        middle = (second["start"] + second["end"]) / 2
        tokens = [
            {**first, "word": " One"},
            {**second, "word": " bur", "end": middle},
            {**second, "word": "st", "start": middle},
        ]
        return {"text": " One burst", "segments": [{"words": tokens[:1]}, {"words": tokens[1:]}]}

    listener.shape = segments
    sent = events(http.post(URL, json=ASKED))
    assert [word["word"] for word in of("speech.audio.words", sent)[0]["words"]] == ["One", "burst"]
    assert len(words_of(sent)) == 4


@pytest.mark.parametrize("failure", ["is gone", "has no words", "fails", "times that are none", "no JSON"])
def test_without_words_the_times_of_sentences_go_on_alone_and_it_is_said(
    serve: Serve, vocabulary: Vocabulary, tmp_path: Path, listener: BurstListener, failure: str
) -> None:
    answers: dict[str, object] = {
        "has no words": {"text": "A text.", "segments": [{"text": "A text."}]},
        "fails": Response(status_code=400),
        "times that are none": Response('{"text": "", "words": [{"word": "a", "start": NaN, "end": 1}]}'),
        "no JSON": Response("<html>"),
    }
    listener.shape = lambda words: answers[failure]
    url = "http://127.0.0.1:9" if failure == "is gone" else serve(listener.app).url
    with speaking(serve, vocabulary, tmp_path, url) as http:
        sent = events(http.post(URL, json=ASKED))
        assert len(of("speech.audio.timestamps", sent)) == 2
        assert not of("speech.audio.words", sent)
        warnings = [(warning["sentence"], warning["fault"]) for warning in of("speech.audio.warning", sent)]
        assert warnings == [(0, "no_words"), (1, "no_words")]
        answer = http.post(URL, json={**BODY, "input": TEXT, "response_format": "json"}).raise_for_status()
        assert [sentence["words"] for sentence in answer.json()["timestamps"]] == [None, None]
        assert answer.headers["X-Speech-Warnings"] == "0 no_words, 1 no_words"


def test_without_a_listener_there_are_no_words(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    with speaking(serve, vocabulary, tmp_path, None) as http:
        kinds = {event["type"] for event in events(http.post(URL, json=ASKED))}
    assert kinds == {"speech.audio.delta", "speech.audio.timestamps", "speech.audio.done"}


def test_who_leaves_is_not_listened_to_any_more(http: httpx.Client, listener: BurstListener) -> None:
    listener.may_answer.clear()
    with http.stream("POST", URL, json=ASKED) as response:
        next(response.iter_lines())
    listener.may_answer.set()
    assert len(words_of(events(http.post(URL, json=ASKED)))) == 4
