"""Prometheus metrics, and one log line per speech request."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from asgi_correlation_id import correlation_id
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from engine import AudioChunk, InvalidRequest, Observer, SpeechRequest, SpeechWarning, UnknownVoice, loggable
from server.admission import Overloaded
from server.playback import Playback
from server.rate_limits import LimitReached

logger = logging.getLogger(__name__)

FIRST_AUDIO_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 3, 5, 10, 30)  # seconds
REAL_TIME_FACTOR_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.5, 2, 4, 10)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one app, in a registry of their own.

    `load` returns the numbers of running and of waiting requests.
    """

    def __init__(self, load: Callable[[], tuple[int, int]]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, processor time, open files
        prefix = "fast_spark_"
        self._requests = Counter(f"{prefix}requests", "Speech requests by outcome", ["outcome"], registry=self.registry)
        self._first_audio = Histogram(
            f"{prefix}first_audio_seconds",
            "Time to first audio",
            buckets=FIRST_AUDIO_BUCKETS,
            registry=self.registry,
        )
        self._real_time_factor = Histogram(
            f"{prefix}real_time_factor",
            "Real-time factor: the time of an answer, divided by the length of its audio",
            buckets=REAL_TIME_FACTOR_BUCKETS,
            registry=self.registry,
        )
        self._audio = Counter(f"{prefix}audio_seconds", "Seconds of audio generated", registry=self.registry)
        self._tokens = Counter(f"{prefix}semantic_tokens", "Semantic tokens generated", registry=self.registry)
        self._underruns = Counter(
            f"{prefix}underruns", "Underruns: times that a listener had to wait for more audio", registry=self.registry
        )
        sequences = Histogram(
            f"{prefix}step_sequences",
            "Sequences in a decode step of the language model; each gets a token",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        windows = Histogram(
            f"{prefix}batch_windows",
            "Windows in a batch of the codec",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        takes = Counter(
            f"{prefix}takes",
            "Takes of sentences by outcome: passed, or the fault for which a sentence was drawn again",
            ["outcome"],
            registry=self.registry,
        )
        language_model = Info(f"{prefix}language_model", "The language model's backend", registry=self.registry)
        self.observer = Observer(
            step=sequences.observe,
            batch=windows.observe,
            take=lambda outcome: takes.labels(outcome).inc(),
            backend=lambda name: language_model.info({"backend": name}),
        )
        running = Gauge(f"{prefix}requests_running", "Requests that are being answered", registry=self.registry)
        running.set_function(lambda: load()[0])
        waiting = Gauge(f"{prefix}requests_waiting", "Requests that wait for a slot", registry=self.registry)
        waiting.set_function(lambda: load()[1])

    async def observe(
        self,
        request: SpeechRequest,
        chunks: AsyncGenerator[AudioChunk, None],
        written: Callable[[], int] | None = None,
    ) -> AsyncGenerator[AudioChunk, None]:
        """Yield the chunks; count and log the outcome.

        `written` counts the characters of a text that is still being written. Its speech has neither underruns nor a
        real-time factor: it waits for the text.
        """
        begun = time.monotonic()
        first: float | None = None
        seconds = 0.0  # of audio
        tokens = 0
        warnings: list[str] = []
        playback = Playback()
        outcome = "cancelled"  # if the generator is closed early
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    now = time.monotonic()
                    if first is None:
                        first = now - begun
                        self._first_audio.observe(first)
                    new_seconds = len(chunk.samples) / request.sample_rate
                    if playback.receive(now, new_seconds) and written is None:
                        self._underruns.inc()
                    self._audio.inc(new_seconds)
                    self._tokens.inc(chunk.usage.output_tokens - tokens)
                    seconds += new_seconds
                    tokens = chunk.usage.output_tokens
                    warnings += [f"{e.sentence}:{e.fault}" for e in chunk.events if isinstance(e, SpeechWarning)]
                    yield chunk
            outcome = "ok"
        except Exception as error:
            outcome = _outcome(error)
            raise
        finally:
            total = time.monotonic() - begun
            self._requests.labels(outcome).inc()
            if outcome == "ok" and seconds and written is None:
                self._real_time_factor.observe(total / seconds)
            logger.info(
                "speech id=%s voice=%s characters=%d audio=%.2f first=%s total=%.3f outcome=%s%s",
                correlation_id.get(),
                loggable(request.voice),
                len(request.text) if written is None else written(),
                seconds,
                "-" if first is None else f"{first:.3f}",
                total,
                outcome,
                f" warnings={','.join(warnings)}" if warnings else "",
            )


def _outcome(error: Exception) -> str:
    if isinstance(error, Overloaded | LimitReached):
        return "overloaded"
    return "refused" if isinstance(error, InvalidRequest | UnknownVoice) else "failed"
