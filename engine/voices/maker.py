"""Makes the tokens of voices: the language model creates them from attributes, or the codec's encoder from a sample."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import replace
from itertools import chain

import numpy as np

from engine.errors import InvalidRequest
from engine.llm.base import LanguageModel
from engine.text import TextOptions, speech_weight, spoken_sentences
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import (
    GLOBAL_TOKENS,
    TOKENS_PER_SECOND,
    ClonedVoiceTokens,
    CreatedVoiceTokens,
    Sampling,
    TokenIds,
    VoiceAttributes,
    VoiceTokens,
)
from engine.voices.catalogue import VOICE_TEXT

logger = logging.getLogger(__name__)

SENTENCE_TOKENS = 1550 + 250
"""Tokens that the longest sentence may need: `max_semantic_tokens` of 12 s, its text, and the rest of the prompt."""

UNLIKELY = 2.5  # times longer or shorter than speech of the transcript: it belongs to another sample


class VoiceMaker:
    """Makes and checks the tokens of voices for one language model."""

    def __init__(
        self, prompts: Prompts, vocabulary: Vocabulary, language_model: LanguageModel, transcripts: bool = True
    ) -> None:
        """`transcripts`: the model goes on from samples with their transcripts."""
        self._transcripts = transcripts
        self._vocabulary = vocabulary
        self.prompts = prompts
        self._language_model = language_model
        delimiters = (vocabulary.id("<|start_acoustic_token|>"), vocabulary.id("<|end_acoustic_token|>"))
        self._acoustic_ids = {*delimiters, *chain(*(family.ids for family in vocabulary.acoustic.values()))}

    async def create(self, attributes: VoiceAttributes, text: str, prefix: str = "") -> CreatedVoiceTokens:
        """Create a voice: the part of the model's answer that comes before the speech.

        A self-voiced model writes the voice for the first sentence of `text`, with the speaker's name `prefix` before
        it. Of the attributes it knows the seed only.
        """
        voices = self._vocabulary.globals
        if self.prompts.self_voiced:
            sentences = spoken_sentences(text, TextOptions(normalize=False))
            prompt = self.prompts.own_voice(sentences[0].text if sentences else VOICE_TEXT, prefix)
        else:
            prompt = self.prompts.create_voice(VOICE_TEXT, attributes)
        answer: list[int] = []
        tokens: list[int] = []
        async with aclosing(self._language_model.generate(prompt, Sampling(seed=attributes.seed))) as ids:
            async for new in ids:
                answer += new
                tokens = [token - voices.first for token in answer if token in voices.ids]
                if len(tokens) >= GLOBAL_TOKENS:
                    break
        acoustic = tuple(token for token in answer if token in self._acoustic_ids)
        return CreatedVoiceTokens(np.array(tokens[:GLOBAL_TOKENS], np.int64), attributes, acoustic)

    def with_transcript(self, tokens: VoiceTokens, transcript: str | None) -> VoiceTokens:
        """The tokens of a cloned voice with the transcript of its sample, if the model uses it and both fit."""
        if not self._transcripts:
            return tokens
        if isinstance(tokens, ClonedVoiceTokens) and transcript and self._needed(tokens, transcript) <= self._room:
            return replace(tokens, transcript=transcript)
        return tokens

    def check_transcript(self, tokens: ClonedVoiceTokens, transcript: str, *, cut: bool) -> tuple[str, ...]:
        """Warnings about the transcript of a sample, of which only the beginning is used if `cut` is true.

        Raises InvalidRequest if the transcript cannot be used: if the sample was cut, if the voice has no semantic
        tokens, or if the transcript leaves no room in the context for a long sentence and its answer.
        """
        if "\0" in transcript:
            raise InvalidRequest("The transcript contains control characters. Remove them.", "transcript")
        if not len(tokens.semantic_tokens):
            raise InvalidRequest("A transcript needs the semantic tokens of what it says.", "transcript")
        if cut:
            raise InvalidRequest(
                "Only the beginning of the sample is used, so a transcript does not match it. Send a shorter sample.",
                "transcript",
            )
        seconds, expected = len(tokens.semantic_tokens) / TOKENS_PER_SECOND, speech_weight(transcript)
        needed = self._needed(tokens, transcript)
        if needed > self._room:
            raise InvalidRequest(
                f"The sample of {seconds:.1f} s and its transcript take {needed} tokens, but the context of this model "
                f"has room for {max(self._room, 0)} beside a sentence. Send a shorter sample, or no transcript.",
                "transcript",
            )
        warnings: tuple[str, ...] = ()
        if not 1 / UNLIKELY < expected / seconds < UNLIKELY:
            warnings += (f"The transcript takes about {expected:.0f} s to say, but the sample has {seconds:.0f} s.",)
        if not self._transcripts:
            logger.warning("A voice has a transcript, which is kept, but this model does not use it.")
            warnings += ("The transcript is kept, but this model does not use it: it speaks worse with one.",)
        return warnings

    def check_given(self, tokens: ClonedVoiceTokens) -> None:
        """Raise InvalidRequest if tokens that a user gives are not in the model's vocabulary."""
        vocabulary = self._vocabulary
        for name, given, family in (
            ("global_tokens", tokens.global_tokens, vocabulary.globals),
            ("semantic_tokens", tokens.semantic_tokens, vocabulary.semantic),
        ):
            if len(wrong := given[(given < 0) | (given >= family.count)]):
                raise InvalidRequest(f"{name} must be from 0 to {family.count - 1}, not {wrong[0]}.", name)

    def check(self, tokens: VoiceTokens) -> None:
        """Raise ValueError if the tokens are not in the model's vocabulary."""
        vocabulary = self._vocabulary
        _check_range(tokens.global_tokens, vocabulary.globals.count, "global")
        if isinstance(tokens, ClonedVoiceTokens):
            _check_range(tokens.semantic_tokens, vocabulary.semantic.count, "semantic")
        elif not self._acoustic_ids.issuperset(tokens.acoustic_ids):
            raise ValueError("the acoustic ids are not in the vocabulary")

    @property
    def _room(self) -> int:
        return self._language_model.context - SENTENCE_TOKENS

    def _needed(self, tokens: ClonedVoiceTokens, transcript: str) -> int:
        return len(tokens.semantic_tokens) + len(self._vocabulary.text(transcript))


def _check_range(tokens: TokenIds, count: int, name: str) -> None:
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < count:
        raise ValueError(f"the {name} tokens are not below {count}")
