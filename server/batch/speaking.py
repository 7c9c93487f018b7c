"""Speaks the jobs of a batch with one engine, as many at once as keep it busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

import numpy as np

from engine import (
    AudioChunk,
    EngineClosed,
    EngineConfig,
    EngineError,
    NothingToSay,
    Observer,
    SpeechEngine,
    SpeechEvent,
    StoreFailed,
    Usage,
)
from server.answers import SILENCE_SECONDS
from server.batch.jobs import Job
from server.batch.manifest import Entry
from server.batch.reading import BatchError
from server.encoding import WholeFile, whole_file
from server.service import ENCODER_THREADS
from server.settings import Settings
from server.speech_events import WARNING_HEADER, warning_header
from server.subtitles import SUBTITLES

_TAKES: ContextVar[list[str]] = ContextVar("_TAKES")
"""The outcomes of the takes of one line. The tasks that speak it inherit its context."""


def _count_take(outcome: str) -> None:
    _TAKES.get([]).append(outcome)  # the warm-up has none


@dataclass(frozen=True, slots=True)
class Spoken:
    """The entry of a line, its audio file, and its subtitles by their format; empty if the line failed."""

    entry: Entry
    audio: bytes = b""
    subtitles: dict[str, str] = field(default_factory=dict)


class Narrator:
    """Speaks jobs with an engine of its own."""

    def __init__(self, settings: Settings) -> None:
        """Load the engine; blocks."""
        self.engine = SpeechEngine.load(for_batch(settings.engine), observer=Observer(take=_count_take))
        self.width = 2 * settings.engine.max_running  # a line also waits for the codec, its filters and its encoder
        self._silence = settings.speak_nothing == "silence"
        self._encoders: Executor = ThreadPoolExecutor(ENCODER_THREADS, "encoder")

    async def speak(self, job: Job) -> Spoken:
        """Speak one line. If it fails, the entry has the error; raises BatchError if the engine itself has failed."""
        asked = job.asked
        entry = Entry(job.id, voice=asked.voice, seed=asked.sampling.seed, digest=job.digest)
        try:
            samples, audio = 0, b""
            takes: list[str] = []
            _TAKES.set(takes)
            events: list[SpeechEvent] = []
            async with whole_file(self._encoders, job.audio_format, asked.sample_rate) as file:
                async with aclosing(self._chunks(job)) as chunks:
                    async for chunk in chunks:
                        await file.run(WholeFile.write, chunk.samples)
                        samples += len(chunk.samples)
                        events += chunk.events
                audio = await file.run(WholeFile.close)
        except EngineError as error:
            if self.engine.failure or isinstance(error, EngineClosed | StoreFailed):
                raise BatchError(f"{self.engine.failure or error} The same command again continues.") from error
            return Spoken(replace(entry, error=str(error)))
        seconds, warnings = samples / asked.sample_rate, warning_header(events).get(WARNING_HEADER)
        done = replace(entry, path=job.path, seconds=seconds, takes=len(takes), warnings=warnings, size=len(audio))
        return Spoken(done, audio, {kind: SUBTITLES[kind](events) for kind in job.subtitles})

    async def speak_all(self, jobs: Iterable[Job]) -> AsyncGenerator[Spoken, None]:
        """Speak all jobs, `width` at once, and yield each as soon as it is done; raises as `speak` does."""
        waiting = iter(jobs)
        running: set[asyncio.Task[Spoken]] = set()
        try:
            while True:
                while len(running) < self.width and (job := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(self.speak(job)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def close(self) -> None:
        """Close the engine."""
        await self.engine.close()
        await asyncio.to_thread(self._encoders.shutdown)

    async def _chunks(self, job: Job) -> AsyncGenerator[AudioChunk, None]:
        try:
            async with aclosing(self.engine.synthesize(job.asked)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except NothingToSay:
            if not self._silence:
                raise
            yield AudioChunk(np.zeros(round(SILENCE_SECONDS * job.asked.sample_rate), np.float32), Usage())


def for_batch(config: EngineConfig) -> EngineConfig:
    """The settings of an engine that nobody listens to: windows need not be small for an early first audio."""
    return config.model_copy(update={"window_first": config.window_largest})
