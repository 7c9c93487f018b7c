"""The benchmark's clients: they ask, note when the audio comes, and find out what a listener would have heard."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import av
import httpx2
from av.error import FFmpegError

from server.encoding import AudioFormat
from server.playback import Playback

SAMPLE_RATE = 24_000  # Hz, of an answer to a request that names none


@dataclass(frozen=True, slots=True)
class Workload:
    """What the clients ask for: the texts in turn, each request with a seed of its own.

    `max_tokens` bounds each sentence. `stream` says whether a client plays an answer while it comes, or only
    when it is whole.
    """

    texts: tuple[str, ...]
    voice: str
    audio_format: AudioFormat
    max_tokens: int
    stream: bool

    def body(self, number: int) -> dict[str, str | int]:
        """The request of this number."""
        return {
            "model": "tts-1",
            "input": self.texts[number % len(self.texts)],
            "voice": self.voice,
            "response_format": self.audio_format,
            "max_tokens": self.max_tokens,
            "seed": number,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request. Times are in seconds from when it was sent, `audio` is seconds of audio."""

    total: float
    first_audio: float = 0
    audio: float = 0
    underruns: int = 0
    """How often playback, begun with the first audio, stalled."""
    error: str | None = None
    """Why there is no whole answer; then only `total` says anything."""


@dataclass(frozen=True, slots=True)
class Level:
    """All answers to so many clients at once, and the seconds that they took together."""

    clients: int
    seconds: float
    answers: list[Answer]


def connect(url: str, api_key: str | None = None) -> httpx2.AsyncClient:
    """A client of the server at this address, with or without /v1; no proxy is asked. Raises httpx2.InvalidURL."""
    return httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        base_url=url.rstrip("/").removesuffix("/v1"),
        timeout=httpx2.Timeout(None, connect=10),  # the server has a deadline of its own
        limits=httpx2.Limits(),
        trust_env=False,
    )


async def measure(
    http: httpx2.AsyncClient,
    workload: Workload,
    clients: int,
    requests: int,
    on_answer: Callable[[], None] = lambda: None,
) -> Level:
    """Let so many clients send the requests, each its next one as soon as it has an answer."""
    numbers = iter(range(requests))
    received: list[_Received] = []

    async def client() -> None:
        for number in numbers:
            received.append(await _receive(http, workload.body(number)))
            on_answer()

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    seconds = time.perf_counter() - begun
    return Level(clients, seconds, [_judge(one, workload) for one in received])  # decoding is not measured


def seconds_of(data: bytes, audio_format: AudioFormat) -> float:
    """The length of an audio file; raises FFmpegError if it is none."""
    if audio_format == "pcm":
        return len(data) / 2 / SAMPLE_RATE
    # FFmpeg does not recognise ADTS of two frames by itself.
    with av.open(io.BytesIO(data), "r", format="aac" if audio_format == "aac" else None) as container:
        return float(sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0)))


@dataclass(slots=True)
class _Received:
    """What came when, in seconds from when the request was sent."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    total: float = 0
    error: str | None = None

    @property
    def data(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)


async def _receive(http: httpx2.AsyncClient, body: dict[str, str | int]) -> _Received:
    received = _Received()
    begun = time.perf_counter()
    try:
        async with http.stream("POST", "/v1/audio/speech", json=body) as response:
            async for piece in response.aiter_bytes():
                received.pieces.append((time.perf_counter() - begun, piece))
        if response.status_code != 200:
            received.error = f"{response.status_code}: {_message(received.data)}"
        elif not response.headers.get("content-type", "").startswith("audio/"):
            received.error = "The answer is no audio."
    except httpx2.HTTPError as error:
        received.error = f"{type(error).__name__}: {error}"
    received.total = time.perf_counter() - begun
    return received


def _message(body: bytes) -> str:
    """The message of OpenAI's error body, or the beginning of whatever it is."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return " ".join(body[:100].decode(errors="replace").split())


def _judge(received: _Received, workload: Workload) -> Answer:
    """What a listener would have heard. In a compressed format, equally many bytes are taken to be equally long."""
    if received.error:
        return Answer(received.total, error=received.error)
    try:
        audio = seconds_of(received.data, workload.audio_format)
    except FFmpegError as error:
        return Answer(received.total, error=f"The audio cannot be decoded: {error}")
    if not audio:
        return Answer(received.total, error="The answer has no audio.")
    if not workload.stream:
        return Answer(received.total, received.total, audio)
    playback = Playback()
    per_byte = audio / len(received.data)
    underruns = sum(playback.receive(at, per_byte * len(piece)) for at, piece in received.pieces)
    return Answer(received.total, received.pieces[0][0], audio, underruns)
