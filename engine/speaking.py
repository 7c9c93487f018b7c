"""From a sentence to its samples: the language model's tokens, as they come, in windows through the codec."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from engine.codec.windows import Window, WindowPlan, Windows
from engine.codec.worker import CodecWorker
from engine.config import EngineConfig
from engine.llm.base import LanguageModel
from engine.planning import Sentence
from engine.postprocess import fade
from engine.runtime.lookahead import Lookahead
from engine.text import max_semantic_tokens
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import TokenRange
from engine.types import TOKENS_PER_SECOND, AudioChunk, Passage, Samples, SpeechRequest, Usage


class Speaker:
    """Speaks sentences, of all requests, with one language model and one codec."""

    def __init__(
        self,
        config: EngineConfig,
        prompts: Prompts,
        semantic: TokenRange,
        language_model: LanguageModel,
        codec: CodecWorker,
    ) -> None:
        """`semantic` has the ids of the semantic tokens."""
        self._plan = WindowPlan(
            context=config.window_context,
            first=config.window_first,
            first_lookahead=config.window_first_lookahead,
            growth=config.window_growth,
            largest=config.window_largest,
        )
        self._prompts = prompts
        self._semantic = semantic
        self._language_model = language_model
        self._codec = codec
        self._lookahead = Lookahead(config.max_running - config.max_running // 4)

    async def speak(self, sentence: Sentence, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]:
        """Yield the sentence's samples at 16 kHz, window by window, each with its own usage.

        Closing the generator frees its slot and its windows.
        """
        prompt = self._prompts.speak(sentence.text, sentence.voice)
        bound = max_semantic_tokens(sentence.text)
        sampling = replace(request.sampling, seed=sentence.seed, max_tokens=min(bound, request.max_tokens or bound))
        windows = Windows(self._plan)
        tokens: list[int] = []
        prompt_tokens = len(prompt.ids)
        ended = False
        async with (
            self._lookahead.take(sentence.due),
            aclosing(self._language_model.generate(prompt, sampling, sentence.due)) as answer,
        ):
            while not ended:
                new = await anext(answer, None)
                ended = new is None
                tokens += [token - self._semantic.first for token in new or () if token in self._semantic.ids]
                while window := windows.next(len(tokens), ended=ended):
                    samples = await self._decode(tokens, window, sentence)
                    yield AudioChunk(samples, Usage(prompt_tokens, window.keep_end - window.keep_start))
                    prompt_tokens = 0  # counted once

    async def _decode(self, tokens: list[int], window: Window, sentence: Sentence) -> Samples:
        """Decode the new samples of a window.

        Sentences are joined without pauses: the model generates them.
        """
        semantic = np.array(tokens[window.start : window.end], np.int64)
        kept = slice(window.keep_start - window.start, window.keep_end - window.start)
        due = sentence.due + window.keep_start / TOKENS_PER_SECOND
        samples = await self._codec.decode(Passage(semantic, sentence.voice.global_tokens, kept), due)
        return fade(samples, start=window.keep_start == 0, end=window.last)
