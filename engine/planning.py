"""From a request to its sentences: normalized, split to fit the context, each with its voice, seed and deadline."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from engine.config import EngineConfig
from engine.errors import InvalidRequest
from engine.llm.base import LanguageModel
from engine.postprocess import MAX_SPEED, MIN_SPEED
from engine.script.reading import Utterance, read_script
from engine.script.tree import Pause, Script
from engine.text import NoRoom, Span, fit, max_semantic_tokens, speech_weight
from engine.text.spoken import parts_of
from engine.tokens.prompts import Prompts
from engine.types import SpeechRequest, VoiceTokens

MAX_TEXT_TOKENS = 500  # of a sentence; 12 seconds of the rarest characters have 250


NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A part of a text, its voice and random numbers, and the estimated time of its playback.

    `due` is in the event loop's time. `number` counts the sentences of the answer. `written` is the text as it was
    written, at `span` of the request's. `tempo` is the factor of the whole: 2 takes half the time.
    """

    text: str
    voice: VoiceTokens
    seed: int
    due: float
    number: int = 0
    written: str = ""
    span: Span = NOWHERE
    speaker: str = ""
    tempo: float = 1.0


class Planner:
    """Plans the sentences of requests, for one language model."""

    def __init__(self, config: EngineConfig, prompts: Prompts, language_model: LanguageModel) -> None:
        self._config = config
        self._prompts = prompts
        self._language_model = language_model

    def script(self, request: SpeechRequest) -> Script:
        """Return the script of a request; raises InvalidRequest."""
        script = read_script(request.text, request.form, request.reading.language, self._config.turn_pause_seconds)
        for piece in script.pieces:
            if not isinstance(piece, Pause) and not MIN_SPEED <= piece.tempo * request.speed <= MAX_SPEED:
                raise InvalidRequest(
                    f"The rates in this text and the speed are {piece.tempo * request.speed:g} together; they must be "
                    f"{MIN_SPEED:g} to {MAX_SPEED:g}.",
                    "speed",
                )
        return script

    def plan(self, request: SpeechRequest, voices: Mapping[str, VoiceTokens]) -> Plan:
        """Begin the plan of one answer, with the tokens of all voices that its text can name."""
        return Plan(request, voices, self)

    def parts(self, utterance: Utterance, voice: VoiceTokens, name: str) -> Iterator[tuple[str, str, Span]]:
        """Split a sentence into parts that fit into the context, with the prompt and the output.

        Each part has its text, the written text and its span. Raises InvalidRequest.
        """
        longest = len(self._prompts.speak("", voice).ids) + MAX_TEXT_TOKENS

        def fits(text: str) -> bool:
            tokens = len(self._prompts.speak(text, voice).ids)
            return tokens <= longest and tokens + max_semantic_tokens(text) <= self._language_model.context

        try:
            texts = fit(utterance.sentence.text, fits)
        except NoRoom as error:
            raise InvalidRequest(
                f"The sample of the voice {name!r} is so long that this model has no room left to speak with "
                "it; make the voice from a shorter sample, or raise the server's `max_context`.",
                "voice",
            ) from error
        for part in parts_of(utterance.sentence.traced, texts):
            yield part.text, utterance.speech.words.within(part.span), part.span


class Plan:
    """The sentences of one answer, whose text may come in several steps. Not for two threads at once.

    The same text has the same numbers and seeds, in however many steps it comes.
    """

    def __init__(self, request: SpeechRequest, voices: Mapping[str, VoiceTokens], planner: Planner) -> None:
        self._request = request
        self._voices = voices
        self._planner = planner
        seed = secrets.randbits(64) if request.sampling.seed is None else request.sampling.seed
        self._seeds = np.random.SeedSequence(seed)
        self._number = 0
        self._due = 0.0

    def items(self, units: Iterable[Utterance | Pause], now: float) -> list[Sentence | Pause]:
        """Return the next sentences and pauses; the first is due `now`, or when those before have been played."""
        found: list[Utterance | Pause] = list(units)
        parts: list[tuple[Utterance, tuple[str, str, Span]] | Pause] = []
        for unit in found:
            if isinstance(unit, Pause):
                parts.append(unit)
                continue
            name = self._voice(unit)
            parts += [(unit, part) for part in self._planner.parts(unit, self._voices[name], name)]
        new = sum(not isinstance(part, Pause) for part in parts)
        seeds = iter(self._seeds.generate_state(self._number + new, np.uint64)[self._number :].tolist())
        self._due = max(self._due, now)
        items: list[Sentence | Pause] = []
        for part in parts:
            if isinstance(part, Pause):
                items.append(part)
                self._due += part.seconds
            else:
                items.append(self._sentence(*part, next(seeds)))
        return items

    def _sentence(self, unit: Utterance, part: tuple[str, str, Span], seed: int) -> Sentence:
        text, written, span = part
        name = self._voice(unit)
        sentence = Sentence(
            text,
            self._voices[name],
            seed,
            self._due,
            self._number,
            written,
            span,
            unit.speech.speaker or name,
            self._request.speed * unit.speech.tempo,
        )
        self._number += 1
        self._due += speech_weight(text)
        return sentence

    def _voice(self, unit: Utterance) -> str:
        return unit.speech.voice or self._request.voice
