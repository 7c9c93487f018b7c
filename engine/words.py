"""When each word of an answer is heard: the listener is asked about each sentence, while the answer goes on."""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np

from engine.events import NO_WORDS, WordTime, WordTimes
from engine.listening import Listener
from engine.planning import Sentence, asked_language
from engine.types import CODEC_SAMPLE_RATE, Samples, SpeechEvent, SpeechRequest, SpeechWarning


class WordTimer:
    """The words of one answer. The listener is asked about one sentence after another."""

    def __init__(self, listener: Listener, request: SpeechRequest) -> None:
        self._listener = listener
        self._request = request
        self._turn = asyncio.Lock()
        self._heard: list[Samples] = []  # of the sentence, before its tempo
        self._asked: deque[asyncio.Task[SpeechEvent]] = deque()

    def push(self, samples: Samples) -> None:
        """Take the next samples of a sentence, at 16 kHz, as they are before its tempo is changed."""
        self._heard.append(samples)

    def end(self, sentence: Sentence, start: float, end: float) -> None:
        """Ask about the sentence, which is heard from `start` to `end` of the answer, in seconds."""
        heard, self._heard = self._heard, []
        self._asked.append(asyncio.create_task(self._ask(sentence, np.concatenate(heard), start, end)))

    def events(self) -> tuple[SpeechEvent, ...]:
        """What has become known, in order."""
        known: list[SpeechEvent] = []
        while self._asked and self._asked[0].done():
            known.append(self._asked.popleft().result())
        return tuple(known)

    async def next(self) -> tuple[SpeechEvent, ...]:
        """Wait until something becomes known; nothing if the listener has answered all."""
        if self._asked:
            await asyncio.wait((self._asked[0],))
        return self.events()

    async def aclose(self) -> None:
        """Ask no more."""
        for task in self._asked:
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)

    async def _ask(self, sentence: Sentence, samples: Samples, start: float, end: float) -> SpeechEvent:
        async with self._turn:
            asked = asked_language(self._request, sentence.voice)
            words = await self._listener.words(samples, sentence.text, asked) if samples.size else []
        if words is None:
            return SpeechWarning(sentence.index, sentence.text, sentence.span, NO_WORDS)
        tempo = samples.size / CODEC_SAMPLE_RATE / (end - start) if end > start else 1
        placed = (WordTime(one.word, start + one.start / tempo, start + one.end / tempo) for one in words)
        return WordTimes(sentence.index, tuple(placed))
