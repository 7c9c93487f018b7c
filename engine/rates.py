"""Measures how fast a voice speaks: it says a fixed text with fixed seeds, once, so that the rate never changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

import numpy as np

from engine.codec.worker import CodecWorker
from engine.errors import EngineClosed, StoreFailed
from engine.llm.base import LanguageModel
from engine.takes.length import ANY_VOICE, Lengths
from engine.takes.take import Take
from engine.text import max_semantic_tokens, speech_weight
from engine.text.script import is_chinese
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import TokenRange
from engine.types import TOKENS_PER_SECOND, ClonedVoiceTokens, Passage, Sampling, VoiceTokens
from engine.voices.rates import VoiceRates, digest_of

logger = logging.getLogger(__name__)

TEXTS: Final = {"en": "Good morning. It is a pleasure to read this to you.", "zh": "早上好，很高兴为您朗读这段文字。"}
TRIES: Final = 3
REMEMBERED: Final = 10_000  # rates
FIRST: Final = 0.0  # due before all sentences, as some of them wait for it

Rate = Callable[[], Awaitable[float | None]]
"""Waits for a voice's rate; None if the voice never said the fixed text without a fault."""


class Rates:
    """The rates of voices, in each script: their lengths, divided by the estimates of `speech_weight`."""

    def __init__(
        self,
        prompts: Prompts,
        semantic: TokenRange,
        language_model: LanguageModel,
        codec: CodecWorker,
        store: VoiceRates,
    ) -> None:
        self._prompts = prompts
        self._semantic = semantic
        self._language_model = language_model
        self._codec = codec
        self._store = store
        self._saved: dict[tuple[str, str], float] = {}
        self._measured: dict[tuple[str, str], asyncio.Task[float]] = {}

    async def of(self, voice: VoiceTokens, text: str) -> Rate:
        """The voice's rate in the script of `text`, measured at first use, and kept."""
        script = _script(text)
        if isinstance(voice, ClonedVoiceTokens) and voice.transcript and _script(voice.transcript) == script:
            return _known(_rate(len(voice.semantic_tokens), voice.transcript))
        key = (digest_of(voice), script)
        saved = self._saved.get(key)
        if saved is None:
            saved = await asyncio.to_thread(self._store.get, *key)
        if saved is not None:
            if len(self._saved) == REMEMBERED:
                self._saved.clear()
            self._saved[key] = saved  # it never changes, and the store takes as long as the checks
            return _known(saved)
        task = self._once(voice, key)
        # It takes its slot before the sentence does, which keeps its own until it has the rate.
        await asyncio.sleep(0)

        async def measured() -> float | None:
            await asyncio.wait((task,))  # others may wait for it too: it goes on if this caller is cancelled
            if task.cancelled():
                raise EngineClosed
            return task.result() or None

        return measured

    def _once(self, voice: VoiceTokens, key: tuple[str, str]) -> asyncio.Task[float]:
        """The measurement; callers that ask at the same time share it."""
        task = self._measured.get(key)
        if task is None:
            task = self._measured[key] = asyncio.create_task(self._find(voice, *key))

            def forget(done: asyncio.Task[float]) -> None:
                del self._measured[key]
                if not done.cancelled():
                    done.exception()  # asyncio logs it with its stack if nobody asks, and all callers may have gone

            task.add_done_callback(forget)
        return task

    async def _find(self, voice: VoiceTokens, digest: str, script: str) -> float:
        rate = await self._measure(voice, TEXTS[script])
        try:
            return await asyncio.to_thread(self._store.save, digest, script, rate)
        except StoreFailed as error:
            logger.warning("The rate of a voice is not saved: %s", error)
            return rate

    async def _measure(self, voice: VoiceTokens, text: str) -> float:
        """The rate, 0 if all tries have a fault."""
        prompt, bound = self._prompts.speak(text, voice), max_semantic_tokens(text)
        for seed in range(TRIES):
            take = Take(Lengths.of(text))
            sampling = Sampling(seed=seed, max_tokens=bound)
            async with aclosing(self._language_model.generate(prompt, sampling, FIRST)) as answer:
                async for new in answer:
                    for token in new:
                        if token in self._semantic.ids:  # a model may say its voice first
                            take.push(token - self._semantic.first)
                    if take.fault:
                        break
            if not take.fault:
                passage = Passage(np.array(take.tokens, np.int64), voice.global_tokens)
                take.hear(await self._codec.decode(passage, FIRST), last=True)
                take.end(bounded=len(take.tokens) == bound)
            if not take.fault:
                return _rate(take.sound.spoken, text)
        return 0

    async def close(self) -> None:
        """Stop measuring."""
        tasks = list(self._measured.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _known(rate: float) -> Rate:
    async def known() -> float | None:
        return rate or None

    return known


def _script(text: str) -> str:
    return "zh" if is_chinese(text) else "en"


def _rate(tokens: int, text: str) -> float:
    """The rate of a voice that took so many tokens for a text; 0 if no voice is so slow or so fast."""
    rate = tokens / (TOKENS_PER_SECOND * max(speech_weight(text), 0.1))
    return rate if ANY_VOICE[0] <= rate <= ANY_VOICE[1] else 0
