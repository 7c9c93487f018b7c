"""From a request to its sentences: normalized, split to fit the context, each with its voice, seed and deadline."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.config import EngineConfig, PauseConfig
from engine.errors import InvalidRequest
from engine.llm.base import LanguageModel
from engine.postprocess import MAX_SPEED, MIN_SPEED
from engine.script.reading import Utterance, read_script, utterances
from engine.script.tree import Pause, Script, Speech
from engine.text import (
    Language,
    NoRoom,
    Span,
    TextOptions,
    fit,
    foreign,
    language_name,
    max_semantic_tokens,
    speech_weight,
    spoken_language,
)
from engine.text.spoken import parts_of
from engine.tokens.prompts import Prompts
from engine.types import SpeechRequest, VoiceTokens

PACE = 1.25
"""How many times as fast as they are played tokens are drawn, at least: a host that is slower cannot stream anyway."""

ENDS = tuple(".!?。！？…")  # of a sentence; other texts were cut off
CLOSERS = "\"'”’」』)）]】》〉 "

MAX_TEXT_TOKENS = 500  # of a sentence; 12 seconds of the rarest characters have 250


NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A part of a text, its voice and random numbers, and the estimated time of its playback.

    `due` is in the event loop's time. `slack` are the estimated seconds between the beginning of its generation and
    that of its playback, if tokens are drawn PACE times as fast as they are played; they depend on the texts alone.
    `pause` are the seconds of silence between its last sound and the first of the next sentence, 0 after the last
    sentence; None leaves the silence as the model generates it. `written` is the text as it was written, at `span` of
    the request's. `tempo` is the factor of the whole: 2 takes half the time.
    """

    text: str
    voice: VoiceTokens
    seed: int
    due: float
    index: int = 0
    slack: float = 0
    pause: float | None = None
    written: str = ""
    span: Span = NOWHERE
    speaker: str = ""
    tempo: float = 1.0


def asked_language(request: SpeechRequest, voice: VoiceTokens) -> Language | None:
    """The language of the request's texts, or that of the voice; None if neither says."""
    return request.reading.language or spoken_language(voice.language)


class Planner:
    """Plans the sentences of requests, for one language model."""

    def __init__(
        self,
        config: EngineConfig,
        prompts: Prompts,
        language_model: LanguageModel,
        languages: tuple[Language, ...] | None,
    ) -> None:
        self._config = config
        self._prompts = prompts
        self._language_model = language_model
        self._languages = languages

    def script(self, request: SpeechRequest) -> Script:
        """Return the script of a request; raises InvalidRequest."""
        script = read_script(request.text, request.form, request.reading.language, self._config.turn_pause_seconds)
        self._check_language(" ".join(piece.words.text for piece in script.pieces if isinstance(piece, Speech)))
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

    def _check_language(self, text: str) -> None:
        """Raise InvalidRequest for a text that is in no language of the model: it would say nothing, or babble."""
        found = foreign(text, self._languages) if self._languages else None
        if found and found.all and self._languages:
            spoken = " and ".join(map(language_name, self._languages))
            written = " and ".join(found.scripts)
            raise InvalidRequest(f"This model speaks {spoken} only; the text is {written}.", "input")

    def parts(self, utterance: Utterance, voice: VoiceTokens, name: str) -> Iterator[Part]:
        """Split a sentence into parts that fit into the context, with the prompt and the output.

        Raises InvalidRequest.
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
            yield Part(part.text, part.span, utterance.speech)

    def reading(self, request: SpeechRequest, voice: VoiceTokens) -> TextOptions:
        """The options for a text in this voice."""
        return self._config.reading(replace(request.reading, language=asked_language(request, voice)))

    @property
    def ahead(self) -> int:
        """Sentences of one text that are generated side by side."""
        return self._config.sentences_ahead

    @property
    def pauses(self) -> PauseConfig:
        """The pauses between sentences."""
        return self._config.pauses


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence, or a part of one that fits into the context, and the speech that it is a part of."""

    text: str
    span: Span
    speech: Speech


class Plan:
    """The sentences of one answer, whose text may come in several steps. Not for two threads at once.

    The same text has the same numbers, seeds and pauses, in however many steps it comes.
    """

    def __init__(self, request: SpeechRequest, voices: Mapping[str, VoiceTokens], planner: Planner) -> None:
        self._request = request
        self._voices = voices
        self._planner = planner
        seed = secrets.randbits(64) if request.sampling.seed is None else request.sampling.seed
        self._seeds = np.random.SeedSequence(seed)
        self._starts = [0.0]  # estimated seconds from the beginning, of each sentence and of the next
        self._begun: list[float] = []  # and of the beginning of its generation
        self._offset = -math.inf  # of the answer's beginning, in the event loop's time

    def reading(self, voice: str) -> TextOptions:
        """The options for a text in this voice."""
        return self._planner.reading(self._request, self._voices[voice])

    def all_items(self, script: Script, now: float) -> list[Sentence | Pause]:
        """Return all sentences and pauses of a script; the first is due `now`."""
        units: list[Utterance | Pause] = []
        for piece in script.pieces:
            units += utterances(
                (piece,), self.reading(self._request.voice if isinstance(piece, Pause) else self._voice(piece))
            )
        return self.items(units, now)

    def items(
        self, units: Iterable[Utterance | Pause], now: float, following: Utterance | Pause | None = None
    ) -> list[Sentence | Pause]:
        """Return the next sentences and pauses; the first is due `now`, or when those before have been played.

        `following` is what comes after them; None if they are the last.
        """
        parts: list[Part | Pause] = []
        for unit in units:
            parts += [unit] if isinstance(unit, Pause) else self._parts(unit)
        last = None if following is None else following if isinstance(following, Pause) else self._parts(following)[0]
        number = len(self._begun)
        count = sum(isinstance(part, Part) for part in parts)
        seeds = iter(self._seeds.generate_state(number + count, np.uint64)[number:].tolist())
        self._offset = max(self._offset, now - self._starts[-1])
        items: list[Sentence | Pause] = []
        for part, after in zip(parts, [*parts[1:], last], strict=False):
            if isinstance(part, Pause):
                items.append(part)
                self._starts[-1] += part.seconds
            else:
                items.append(self._sentence(part, after, next(seeds)))
        return items

    def _parts(self, unit: Utterance) -> list[Part]:
        name = self._voice(unit.speech)
        return list(self._planner.parts(unit, self._voices[name], name))

    def _sentence(self, part: Part, after: Part | Pause | None, seed: int) -> Sentence:
        name = self._voice(part.speech)
        index, start = len(self._begun), self._starts[-1]
        before = index - self._planner.ahead  # its place is taken over
        begun = 0.0
        if before >= 0:
            begun = self._begun[before] + (self._starts[before + 1] - self._starts[before]) / PACE
        self._begun.append(begun)
        self._starts.append(start + speech_weight(part.text))
        return Sentence(
            part.text,
            self._voices[name],
            seed,
            self._offset + start,
            index,
            max(0.0, start - begun),
            self._pause(part, after),
            part.speech.words.within(part.span),
            part.span,
            part.speech.speaker or name,
            self._request.speed * part.speech.tempo,
        )

    def _pause(self, part: Part, after: Part | Pause | None) -> float | None:
        """The pause between a part and the next; none before a pause of the text."""
        seconds = self._planner.pauses.sentence_seconds
        if seconds is None:
            return None
        if not isinstance(after, Part):
            return 0.0
        if "\n\n" in part.speech.words.within(Span(part.span.end, after.span.start)).replace(" ", ""):
            return self._planner.pauses.paragraph_seconds
        return seconds if part.text.rstrip(CLOSERS).endswith(ENDS) else seconds / 2

    def _voice(self, speech: Speech) -> str:
        return speech.voice or self._request.voice
