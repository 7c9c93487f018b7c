"""The benchmark's clients: they send requests, record when audio arrives, and simulate its playback."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import av
import httpx2
from av.error import FFmpegError
from prometheus_client.parser import text_string_to_metric_families

from server.encoding import AudioFormat
from server.playback import Playback

SAMPLE_RATE = 24_000  # Hz, the default of a request


@dataclass(frozen=True, slots=True)
class Workload:
    """The requests of the clients: the texts in turn, each request with its own seed.

    `max_tokens` limits each sentence. If `stream` is true, clients play a response while it arrives; otherwise they
    play it when it is complete.
    """

    texts: tuple[str, ...]
    voice: str
    audio_format: AudioFormat
    max_tokens: int
    stream: bool

    def body(self, number: int) -> dict[str, str | int]:
        """Return the body of the request with this number."""
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
    """The result of one request. Times are in seconds since it was sent; `audio` is the length in seconds."""

    total: float
    first_audio: float = 0
    audio: float = 0
    underruns: int = 0
    """How often playback, started with the first audio, stalled."""
    error: str | None = None
    """Why the response is not complete; then only `total` is valid."""


@dataclass(frozen=True, slots=True)
class Level:
    """The results of one number of concurrent clients, and the total time in seconds.

    `failed_takes` are those that the server drew again; None if its metrics cannot be read.
    """

    clients: int
    seconds: float
    answers: list[Answer]
    failed_takes: int | None = None


def connect(url: str, api_key: str | None = None) -> httpx2.AsyncClient:
    """Return a client for the server at this URL, with or without /v1. Ignores proxies. Raises httpx2.InvalidURL."""
    return httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        base_url=url.rstrip("/").removesuffix("/v1"),
        timeout=httpx2.Timeout(None, connect=10),  # the server has its own deadline
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
    """Send the requests from concurrent clients. Each sends its next request when it has the response."""
    numbers = iter(range(requests))
    received: list[_Received] = []

    async def client() -> None:
        for number in numbers:
            received.append(await _receive(http, workload.body(number)))
            on_answer()

    before = await takes_so_far(http)
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    seconds = time.perf_counter() - begun
    after = await takes_so_far(http)
    failed = None if after is None or before is None else failed_takes(after - before)
    return Level(clients, seconds, [_judge(one, workload) for one in received], failed)  # decoding is not measured


async def takes_so_far(http: httpx2.AsyncClient) -> Counter[str] | None:
    """A server's takes by outcome, from its metrics; None without them."""
    try:
        answer = (await http.get("/metrics")).raise_for_status()
        families = list(text_string_to_metric_families(answer.text))
    except (httpx2.HTTPError, ValueError):
        return None
    if not any(family.name.startswith("fast_spark_") for family in families):
        return None
    takes = [sample for family in families if family.name == "fast_spark_takes" for sample in family.samples]
    return Counter({take.labels["outcome"]: int(take.value) for take in takes if take.name.endswith("_total")})


def failed_takes(takes: Counter[str]) -> int:
    """Those that did not pass."""
    return takes.total() - takes["passed"]


def seconds_of(data: bytes, audio_format: AudioFormat) -> float:
    """Return the length of an audio file, in seconds; raises FFmpegError if it cannot be decoded."""
    if audio_format == "pcm":
        return len(data) / 2 / SAMPLE_RATE
    # FFmpeg does not detect ADTS files of two frames.
    with av.open(io.BytesIO(data), "r", format="aac" if audio_format == "aac" else None) as container:
        return float(sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0)))


@dataclass(slots=True)
class _Received:
    """The received data and its times, in seconds since the request was sent."""

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
    """Return the message of OpenAI's error body, or the beginning of any other body."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return " ".join(body[:100].decode(errors="replace").split())


def _judge(received: _Received, workload: Workload) -> Answer:
    """Simulate the playback. In compressed formats, the duration is assumed to be proportional to the bytes."""
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
