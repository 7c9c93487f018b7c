"""Speaks the jobs of a batch with one engine, as many at once as keep it busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace

import numpy as np

from engine import (
    EngineClosed,
    EngineConfig,
    EngineError,
    NothingToSay,
    Samples,
    SpeechEngine,
    StoreFailed,
)
from server.answers import SILENCE_SECONDS
from server.batch.jobs import Job
from server.batch.manifest import Entry
from server.batch.reading import BatchError
from server.encoding import WholeFile, whole_file
from server.service import ENCODER_THREADS
from server.settings import Settings


@dataclass(frozen=True, slots=True)
class Spoken:
    """The entry of a line, and its audio file; empty if the line failed."""

    entry: Entry
    audio: bytes = b""


class Narrator:
    """Speaks jobs with an engine of its own."""

    def __init__(self, settings: Settings) -> None:
        """Load the engine; blocks."""
        self.engine = SpeechEngine.load(for_batch(settings.engine))
        self.width = 2 * settings.engine.max_running  # a line also waits for the codec, its filters and its encoder
        self._silence = settings.speak_nothing == "silence"
        self._encoders: Executor = ThreadPoolExecutor(ENCODER_THREADS, "encoder")

    async def speak(self, job: Job) -> Spoken:
        """Speak one line. If it fails, the entry has the error; raises BatchError if the engine itself has failed."""
        asked = job.asked
        entry = Entry(job.id, voice=asked.voice, seed=asked.sampling.seed, digest=job.digest)
        try:
            samples, audio = 0, b""
            async with whole_file(self._encoders, job.audio_format, asked.sample_rate) as file:
                async with aclosing(self._samples(job)) as parts:
                    async for part in parts:
                        await file.run(WholeFile.write, part)
                        samples += len(part)
                audio = await file.run(WholeFile.close)
        except EngineError as error:
            if self.engine.failure or isinstance(error, EngineClosed | StoreFailed):
                raise BatchError(f"{self.engine.failure or error} The same command again continues.") from error
            return Spoken(replace(entry, error=str(error)))
        done = replace(entry, path=job.path, seconds=samples / asked.sample_rate, takes=1, size=len(audio))
        return Spoken(done, audio)

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

    async def _samples(self, job: Job) -> AsyncGenerator[Samples, None]:
        try:
            async with aclosing(self.engine.synthesize(job.asked)) as chunks:
                async for chunk in chunks:
                    yield chunk.samples
        except NothingToSay:
            if not self._silence:
                raise
            yield np.zeros(round(SILENCE_SECONDS * job.asked.sample_rate), np.float32)


def for_batch(config: EngineConfig) -> EngineConfig:
    """The settings of an engine that nobody listens to: windows need not be small for an early first audio."""
    return config.model_copy(update={"window_first": config.window_largest})
