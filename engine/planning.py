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

PACE = 1.25
"""How many times as fast as they are played tokens are drawn, at least: a host that is slower cannot stream anyway."""

ENDS = tuple(".!?。！？…")  # of a sentence; other texts were cut off
CLOSERS = "\"'”’」』)）]】》〉 "

MAX_TEXT_TOKENS = 500  # of a sentence; 12 seconds of the rarest characters have 250


@dataclass(frozen=True, slots=True)
class Sentence:
    """A part of a text, its voice and random numbers, and the estimated time of its playback.

    `due` is in the event loop's time. `slack` are the estimated seconds between the beginning of its generation and
    that of its playback, if tokens are drawn PACE times as fast as they are played; they depend on the texts alone.
    `pause` are the seconds of silence between its last sound and the first of the next sentence, 0 after the last
    sentence; None leaves the silence as the model generates it.
    """

    text: str
    voice: VoiceTokens
    seed: int
    due: float
    index: int = 0
    slack: float = 0
    pause: float | None = None


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
        starts = list(accumulate((speech_weight(text) for text in texts), initial=0.0))
        slacks = _slacks(starts, self._config.sentences_ahead)
        pauses = [self._pause(text) for text in texts[:-1]] + [
            None if self._config.pauses.sentence_seconds is None else 0
        ]
        columns = zip(texts, seeds, starts, slacks, pauses, strict=False)
        return [
            Sentence(text, voice, seed, now + start, index, slack, pause)
            for index, (text, seed, start, slack, pause) in enumerate(columns)
        ]

    def _pause(self, text: str) -> float | None:
        """The pause after a text that is not the last."""
        seconds = self._config.pauses.sentence_seconds
        return seconds if seconds is None or text.rstrip(CLOSERS).endswith(ENDS) else seconds / 2

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


def _slacks(starts: list[float], ahead: int) -> list[float]:
    """`Sentence.slack` of each sentence, from the seconds before it and the end; `ahead` of them are drawn at once."""
    begun: list[float] = []
    for index in range(len(starts) - 1):
        before = index - ahead  # its place is taken over
        begun.append(0.0 if before < 0 else begun[before] + (starts[before + 1] - starts[before]) / PACE)
    return [max(0.0, start - begin) for start, begin in zip(starts, begun, strict=False)]
