"""Plays sentences and pauses one after another: tempo, rate, and where in the answer each of them is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from engine.events import MarkTime, SentenceBegun, SentenceTimes
from engine.listening import Listener
from engine.planning import Sentence
from engine.postprocess import PostProcessor
from engine.runtime.native import Native
from engine.runtime.ordered import in_order
from engine.script.tree import Mark, Pause
from engine.speaking import Speaker
from engine.text import speech_weight
from engine.types import CODEC_SAMPLE_RATE, AudioChunk, Samples, SpeechEvent, SpeechRequest, Usage
from engine.words import WordTimer

_NONE: Final = np.zeros(0, np.float32)

Item = Sentence | Pause


@dataclass(frozen=True, slots=True)
class _Begin:
    item: Item


@dataclass(frozen=True, slots=True)
class _End:
    item: Sentence


class _Filter:
    """A tempo or a rate, for samples from the first to `flush`; then anew."""

    def __init__(self, threads: Executor, speed: float, sample_rate: int) -> None:
        self._make = partial(PostProcessor, speed, sample_rate)
        self._neutral = speed == 1 and sample_rate == CODEC_SAMPLE_RATE
        self._threads = threads
        self._stack = AsyncExitStack()
        self._native: Native[PostProcessor] | None = None

    async def push(self, samples: Samples) -> Samples:
        if self._neutral:
            return samples
        if self._native is None:
            native = Native(self._threads, self._make, PostProcessor.close)
            self._native = await self._stack.enter_async_context(native)
        return await self._native.run(PostProcessor.push, samples)

    async def flush(self) -> Samples:
        if self._native is None:
            return _NONE
        rest = await self._native.run(PostProcessor.flush)
        await self.aclose()
        return rest

    async def aclose(self) -> None:
        await self._stack.aclose()
        self._native = None


class Player:
    """Plays one answer.

    The tempo is changed sentence by sentence, so that none waits for the next. The rate is changed in one go from pause
    to pause: sentences are joined as if they were one recording, unless the request wants them `separate`.
    """

    def __init__(
        self,
        speaker: Speaker,
        threads: Executor,
        request: SpeechRequest,
        listener: Listener | None,
        marks: tuple[Mark, ...] = (),
    ) -> None:
        """`threads` run the filters; the `listener` has the times of the words."""
        self._speaker = speaker
        self._threads = threads
        self._request = request
        self._marks = sorted(marks, key=lambda mark: mark.at, reverse=True)  # the next one is the last
        self._rate = _Filter(threads, 1, request.sample_rate)
        self._tempo = _Filter(threads, 1, CODEC_SAMPLE_RATE)
        self._before = 0  # samples of the answer up to the last pause
        self._since = 0  # samples since then, at the codec's rate
        self._begun = 0.0  # seconds, of the sentence
        self._usage = Usage()
        self._words = WordTimer(listener, request) if listener and request.words else None
        self._events: tuple[SpeechEvent, ...] = ()  # for the next chunk

    async def play(
        self, items: AsyncGenerator[Item, None], ahead: int, events: tuple[SpeechEvent, ...] = ()
    ) -> AsyncGenerator[AudioChunk, None]:
        """Yield the answer while up to `ahead` sentences are generated; `events` come with its first samples."""
        self._events = events
        streams = (partial(self._stream, item) async for item in items)
        async with aclosing(self), aclosing(items), aclosing(in_order(streams, ahead)) as spoken:
            async for step in spoken:
                match step:
                    case _Begin(Sentence() as sentence):
                        self._begin(sentence)
                    case _Begin(Pause() as pause):
                        async for chunk in self._pause(pause):
                            yield chunk
                    case _End(sentence):
                        async for chunk in self._end(sentence):
                            yield chunk
                    case AudioChunk():
                        self._usage += step.usage
                        if self._words:
                            self._words.push(step.samples)
                        samples = await self._resampled(await self._tempo.push(step.samples))
                        if samples.size or step.events:
                            yield self._chunk(samples, *step.events)
            rest = await self._rate.flush()
            marks = self._times_of_marks(None) if self._request.timestamps else ()
            yield AudioChunk(rest, self._usage, (*self._events, *marks), last=True)
            while self._words and (events := await self._words.next()):
                yield AudioChunk(_NONE, self._usage, events)

    async def aclose(self) -> None:
        """Free the filters, and ask for no more words."""
        if self._words:
            await self._words.aclose()
        await self._tempo.aclose()
        await self._rate.aclose()

    async def _stream(self, item: Item) -> AsyncGenerator[AudioChunk | _Begin | _End, None]:
        yield _Begin(item)
        if isinstance(item, Sentence):
            async with aclosing(self._speaker.speak(item, self._request)) as chunks:
                async for chunk in chunks:
                    yield chunk
            yield _End(item)

    def _begin(self, sentence: Sentence) -> None:
        self._begun = self._now
        self._tempo = _Filter(self._threads, sentence.tempo, CODEC_SAMPLE_RATE)
        if self._request.announce:
            self._events += (SentenceBegun(sentence.written, sentence.span, sentence.tempo),)

    async def _end(self, sentence: Sentence) -> AsyncGenerator[AudioChunk, None]:
        samples = await self._resampled(await self._tempo.flush())
        if self._request.separate:
            samples = np.concatenate((samples, await self._rate.flush()))
            self._before, self._since = self._samples, 0
        events: list[SpeechEvent] = []
        if self._request.timestamps:
            number, written, span, speaker = sentence.index, sentence.written, sentence.span, sentence.speaker
            events.append(SentenceTimes(number, written.strip(), span, self._begun, self._now, speaker))
            events += self._times_of_marks(sentence)
        if self._words:
            self._words.end(sentence, self._begun, self._now)
        if samples.size or events:
            yield self._chunk(samples, *events)

    async def _pause(self, pause: Pause) -> AsyncGenerator[AudioChunk, None]:
        """Exact silence: the samples before it are brought to their end."""
        rest = await self._rate.flush()
        if rest.size:
            yield self._chunk(rest)
        if self._request.announce:
            self._events += (SentenceBegun("", pause.span),)
        rate = self._request.sample_rate
        self._before, self._since = self._samples, 0
        left = round(pause.seconds * rate)
        self._before += left
        while left:
            now = min(left, rate)
            left -= now
            yield self._chunk(np.zeros(now, np.float32))

    async def _resampled(self, samples: Samples) -> Samples:
        self._since += samples.size
        return await self._rate.push(samples) if samples.size else samples

    @property
    def _samples(self) -> int:
        """Samples of the answer up to here."""
        return self._before + round(self._since * self._request.sample_rate / CODEC_SAMPLE_RATE)

    @property
    def _now(self) -> float:
        return self._samples / self._request.sample_rate

    def _chunk(self, samples: Samples, *events: SpeechEvent) -> AudioChunk:
        """The next samples; events that wait for samples come with the first."""
        if self._words:
            events = (*events, *self._words.events())
        if samples.size:
            events, self._events = (*self._events, *events), ()
        return AudioChunk(samples, self._usage, events)

    def _times_of_marks(self, sentence: Sentence | None) -> Iterator[MarkTime]:
        """The times of the marks up to the end of a sentence, or of all that are left."""
        while self._marks and (sentence is None or self._marks[-1].at <= sentence.span.end):
            mark = self._marks.pop()
            seconds = self._now
            if sentence is not None:
                inside = max(0, mark.at - sentence.span.start) / max(1, sentence.span.end - sentence.span.start)
                before = sentence.written[: round(inside * len(sentence.written))]
                share = speech_weight(before) / max(speech_weight(sentence.written), 1e-9)
                seconds = self._begun + min(share, 1.0) * (self._now - self._begun)
            yield MarkTime(mark.name, seconds)
