"""From a request to its sentences: normalized, split to fit the context, each with its voice, seed and deadline."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from engine.config import EngineConfig
from engine.errors import InvalidRequest, NothingToSay
from engine.llm.base import LanguageModel
from engine.text import NoRoom, fit, max_semantic_tokens, speech_weight, spoken_language, spoken_sentences
from engine.tokens.prompts import Prompts
from engine.types import SpeechRequest, VoiceTokens

MAX_TEXT_TOKENS = 500  # of a sentence; 12 seconds of the rarest characters have 250


@dataclass(frozen=True, slots=True)
class Sentence:
    """A part of a text, its voice and random numbers, and the estimated time of its playback.

    `due` is in the event loop's time.
    """

    text: str
    voice: VoiceTokens
    seed: int
    due: float


class Planner:
    """Plans the sentences of requests, for one language model."""

    def __init__(self, config: EngineConfig, prompts: Prompts, language_model: LanguageModel) -> None:
        self._config = config
        self._prompts = prompts
        self._language_model = language_model

    def sentences(self, request: SpeechRequest, voice: VoiceTokens, now: float) -> list[Sentence]:
        """Return the sentences of `request`, the first of which is due `now`; raises InvalidRequest or NothingToSay."""
        texts = self._texts(request, voice)
        if not texts:
            raise NothingToSay
        seed = secrets.randbits(64) if request.sampling.seed is None else request.sampling.seed
        seeds = np.random.SeedSequence(seed).generate_state(len(texts), np.uint64).tolist()
        starts = accumulate((speech_weight(text) for text in texts), initial=now)
        return [Sentence(text, voice, *rest) for text, *rest in zip(texts, seeds, starts, strict=False)]

    def _texts(self, request: SpeechRequest, voice: VoiceTokens) -> list[str]:
        """Split the sentences into parts that fit into the context, with the prompt and the output."""
        reading = replace(request.reading, language=request.reading.language or spoken_language(voice.language))
        sentences = spoken_sentences(request.text, self._config.reading(reading))
        longest = len(self._prompts.speak("", voice).ids) + MAX_TEXT_TOKENS

        def fits(text: str) -> bool:
            tokens = len(self._prompts.speak(text, voice).ids)
            return tokens <= longest and tokens + max_semantic_tokens(text) <= self._language_model.context

        try:
            return [part for sentence in sentences for part in fit(sentence.text, fits)]
        except NoRoom as error:
            raise InvalidRequest(
                f"The sample of the voice {request.voice!r} is so long that this model has no room left to speak with "
                "it; make the voice from a shorter sample, or raise the server's `max_context`.",
                "voice",
            ) from error
