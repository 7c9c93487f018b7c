"""From a sentence to its samples: the language model's tokens, as they come, in windows through the codec.

A sentence is drawn, watched and, if it fails, drawn again (`engine.takes`). What is replaced, and by what, depends on
the request and the tokens alone: on how many tokens were drawn, never on the clock. So the same seed gives the same
samples, whole and streamed, under any load.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine.codec.windows import Window, WindowPlan
from engine.codec.worker import CodecWorker
from engine.config import EngineConfig
from engine.errors import InvalidRequest
from engine.listening import Listener
from engine.llm.base import LanguageModel
from engine.observer import UNOBSERVED, Observer
from engine.planning import PACE, Sentence, asked_language
from engine.rates import Rate, Rates
from engine.runtime.lookahead import Lookahead
from engine.sending import Sending
from engine.takes.faults import Fault
from engine.takes.length import FASTEST, SLACK, Lengths
from engine.takes.take import Take
from engine.text import max_semantic_tokens
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import TokenRange
from engine.types import (
    TOKENS_PER_SECOND,
    AudioChunk,
    Prompt,
    SpeechRequest,
    SpeechWarning,
)

UNVERIFIED: Final = "unverified"
"""The fault of a sentence that the listener could not be asked about."""

PASSED: Final = "passed"
"""The outcome of a take without a fault."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What all sentences are spoken with; `semantic` has the ids of the semantic tokens."""

    config: EngineConfig
    prompts: Prompts
    semantic: TokenRange
    language_model: LanguageModel
    codec: CodecWorker
    rates: Rates
    listener: Listener | None = None
    observer: Observer = UNOBSERVED


class Speaker:
    """Speaks sentences, of all requests, with one language model and one codec."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        config = parts.config
        self._lookahead = Lookahead(config.max_running - config.max_running // 4)

    def check(self, request: SpeechRequest) -> None:
        """Raise InvalidRequest if the request cannot be verified."""
        if request.verify and not self._parts.listener:
            raise InvalidRequest(
                "There is nothing to verify with: this server has no listener. Set engine.listener.url.", "verify"
            )

    async def speak(self, sentence: Sentence, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]:
        """Yield the sentence's samples at 16 kHz, window by window, each with its own usage.

        Closing the generator frees its slot and its windows.
        """
        async with (
            self._lookahead.take(sentence.due),
            aclosing(_Speech(self._parts, sentence, request).chunks()) as chunks,
        ):
            async for chunk in chunks:
                yield chunk


class _Speech:
    """One sentence on its way: its takes, until one passes or there were enough."""

    def __init__(self, parts: Parts, sentence: Sentence, request: SpeechRequest) -> None:
        config = parts.config
        self._parts = parts
        self._sentence = sentence
        self._request = request
        plan = WindowPlan(
            context=config.window_context,
            first=config.window_first,
            first_lookahead=config.window_first_lookahead,
            growth=config.window_growth,
            largest=config.window_largest,
        )
        self._prompt = parts.prompts.speak(sentence.text, sentence.voice)
        self._sending = Sending(parts.codec, plan, sentence, len(self._prompt.ids))
        limit = max_semantic_tokens(sentence.text)
        self._bound = min(limit, request.max_tokens or limit)
        self._may_end_early = self._bound < limit
        asked = config.retakes if request.retakes is None else request.retakes
        self._checked = asked > 0
        self._retakes = 0 if request.sampling.greedy else asked  # drawn again, a greedy take is the same
        self._rate: Rate | None = None
        self._overrun: tuple[Fault, int] | None = None  # of a take that did not end, and the frames that were sent
        self._warnings: tuple[SpeechWarning, ...] = ()
        self._drawn = 0  # tokens, of all takes

    async def chunks(self) -> AsyncGenerator[AudioChunk, None]:
        """Draw until a take passes, or until there have been enough."""
        lengths = None
        if self._checked:
            self._rate = await self._parts.rates.of(self._sentence.voice, self._sentence.text)
            lengths = Lengths.of(self._sentence.text, FASTEST)  # no bound of any voice is lower
        takes: list[Take] = []
        take: Take | None = Take(lengths)
        while take:
            takes.append(take)
            async with aclosing(self._draw(take, len(takes) - 1)) as chunks:
                async for chunk in chunks:
                    yield chunk
            if (lengths or self._request.verify) and not take.through_silence:
                self._parts.observer.take(take.fault or PASSED)
            if not take.fault:
                return
            take = await self._following(takes)
        for last in await self._best(takes):
            yield last

    async def _draw(self, take: Take, number: int) -> AsyncGenerator[AudioChunk, None]:
        """Draw the rest of a take, and send what may be heard before it passed; all of it once it did."""
        if not take.ended:
            prompt = self._parts.prompts.continued(self._prompt, take.tokens)
            async with aclosing(self._generate(prompt, number, self._bound - len(take.tokens))) as answer:
                async for new in answer:
                    for token in new:
                        if token not in self._parts.semantic.ids:
                            continue
                        await self._take_token(take, token - self._parts.semantic.first)
                        while not take.fault and (window := self._sending.next) and self._may_be_heard(take, window):
                            yield self._sending.send(take)
                        if take.fault:
                            await self._settle(take)
                            return
        for chunk in await self._end(take):
            yield chunk

    async def _take_token(self, take: Take, token: int) -> None:
        """Push a token that was drawn, and hear the windows that it completes."""
        if take.lengths and len(take.tokens) == take.lengths.usual:
            await self._settle(take)
        take.push(token)
        self._drawn += 1
        if take.fault is Fault.LOOP and await self._sending.is_silent(take, take.good):
            take.pardon()
        await self._sending.hear(take)

    async def _end(self, take: Take) -> list[AudioChunk]:
        """Judge a take of which all tokens are drawn; return what is left to be sent of it, nothing if it failed."""
        take.ended = True
        await self._settle(take)
        await self._sending.hear(take, ended=True)
        if not self._may_end_early or len(take.tokens) < self._bound:
            take.end(bounded=len(take.tokens) == self._bound)
        if self._request.verify and not take.fault:
            await self._verify(take)
        if take.fault:
            return []
        if self._overrun and len(take.sound.frames) - take.sound.trailing < self._overrun[1] + SLACK:
            self._warn(self._overrun[0])  # the sentence may have ended before what was sent
        if take.through_silence:
            self._warn(Fault.SILENCE)
        return self._last_chunks(take)

    async def _settle(self, take: Take) -> None:
        """Give a take the bounds of its voice. Its rate may still be measured, so it waits only where they decide."""
        if take.lengths and self._rate:
            take.lengths = Lengths.of(self._sentence.text, await self._rate())

    async def _verify(self, take: Take) -> None:
        """Let the listener judge a whole take, of which nothing has been sent."""
        listener, text = self._parts.listener, self._sentence.text
        samples = self._sending.waiting
        if not samples.size:
            take.errors = 1.0
            take.fail(Fault.NOTHING, 0)
            return
        asked = asked_language(self._request, self._sentence.voice)
        errors = None if listener is None else await listener.errors(samples, text, asked)
        if listener is None or errors is None:
            self._warn(UNVERIFIED)
        elif errors > listener.bound:
            take.errors = errors
            take.fail(Fault.WORDS, len(take.tokens))

    def _generate(self, prompt: Prompt, number: int, limit: int) -> AsyncGenerator[list[int], None]:
        sampling = replace(self._request.sampling, seed=_seed(self._sentence.seed, number), max_tokens=limit)
        return self._parts.language_model.generate(prompt, sampling, self._sentence.due)

    def _may_be_heard(self, take: Take, window: Window) -> bool:
        """Whether a window is sent before the take has passed."""
        if self._request.verify or take.through_silence or not take.is_sure(window.keep_end):
            return False
        return self._drawn >= PACE * (self._sentence.slack * TOKENS_PER_SECOND + window.keep_start)

    async def _following(self, takes: list[Take]) -> Take | None:
        """A new take; if a part of the sentence was sent, one that goes on after it, before the fault.

        After the last one, a take that was only silent for too long goes on, if there is one.
        """
        failed = takes[-1]
        sent = await self._sending.rewind()
        if len(takes) > self._retakes:
            return None if failed.through_silence else self._through_silence(takes, sent)
        if not sent:
            return Take(failed.lengths)
        if failed.fault and failed.overran:
            self._overrun = failed.fault, sent
        keep = max(sent, min(failed.resume, self._bound - 1))
        return Take(failed.lengths, failed.tokens[:keep], failed.sound.until(sent))

    def _through_silence(self, takes: list[Take], sent: int) -> Take | None:
        heard = takes[-1].tokens[:sent]
        silent = [take for take in takes if take.fault is Fault.SILENCE and take.tokens[:sent] == heard]
        if not silent:
            return None
        self._sending.shorten_silence()
        take = Take(silent[-1].lengths, silent[-1].tokens, takes[-1].sound.until(sent), through_silence=True)
        take.ended = silent[-1].ended or len(take.tokens) == self._bound
        return take

    async def _best(self, takes: list[Take]) -> list[AudioChunk]:
        """Return the good part of the best take, as all have failed; it ends with a fade before the fault."""
        sent = self._sending.sent
        heard = takes[-1].tokens[:sent]
        able = (take for take in takes if take.tokens[:sent] == heard and not (take.through_silence and take.overran))
        best = min(able, key=lambda take: take.badness)
        rest = Take(None, best.tokens[: max(sent, best.good)], takes[-1].sound.until(sent))
        await self._sending.hear(rest, ended=True)
        self._warnings = (self._warning(str(best.fault)),)
        return self._last_chunks(rest)

    def _last_chunks(self, take: Take) -> list[AudioChunk]:
        *chunks, last = self._sending.send_rest(take)
        return [*chunks, replace(last, events=self._warnings)]

    def _warn(self, fault: str) -> None:
        self._warnings += (self._warning(fault),)

    def _warning(self, fault: str) -> SpeechWarning:
        return SpeechWarning(self._sentence.index, self._sentence.text, self._sentence.span, str(fault))


def _seed(seed: int, number: int) -> int:
    """The seed of a sentence's take: its own, then others that follow from it."""
    if not number:
        return seed
    return int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)[0])
