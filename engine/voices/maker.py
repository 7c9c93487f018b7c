"""Makes the tokens of voices: the language model creates them from attributes, or the codec's encoder from a sample."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from itertools import chain

import numpy as np

from engine.errors import InvalidRequest
from engine.llm.base import LanguageModel
from engine.text import speech_weight
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import (
    GLOBAL_TOKENS,
    TOKENS_PER_SECOND,
    ClonedVoiceTokens,
    CreatedVoiceTokens,
    Sample,
    Sampling,
    TokenIds,
    VoiceAttributes,
    VoiceTokens,
)
from engine.voices.catalogue import VOICE_TEXT

SENTENCE_TOKENS = 1550 + 250
"""Tokens that the longest sentence may need: `max_semantic_tokens` of 12 s, its text, and the rest of the prompt."""

UNLIKELY = 2.5  # times longer or shorter than speech of the transcript: it belongs to another sample


class VoiceMaker:
    """Makes and checks the tokens of voices for one language model."""

    def __init__(self, vocabulary: Vocabulary, language_model: LanguageModel) -> None:
        self._vocabulary = vocabulary
        self._prompts = Prompts(vocabulary)
        self._language_model = language_model
        delimiters = (vocabulary.id("<|start_acoustic_token|>"), vocabulary.id("<|end_acoustic_token|>"))
        self._acoustic_ids = {*delimiters, *chain(*(family.ids for family in vocabulary.acoustic.values()))}

    async def create(self, attributes: VoiceAttributes) -> CreatedVoiceTokens:
        """Create a voice: the part of the model's answer that comes before the speech."""
        vocabulary = self._vocabulary
        start, end = vocabulary.id("<|start_global_token|>"), vocabulary.id("<|end_global_token|>")
        answer: list[int] = []
        prompt = self._prompts.create_voice(VOICE_TEXT, attributes)
        async with aclosing(self._language_model.generate(prompt, Sampling(seed=attributes.seed))) as ids:
            async for new in ids:
                answer += new
                if end in answer:
                    break
        first = answer.index(start)
        codes = [token - vocabulary.globals.first for token in answer[first + 1 : first + 1 + GLOBAL_TOKENS]]
        return CreatedVoiceTokens(np.array(codes, np.int64), attributes, tuple(answer[:first]))

    def with_transcript(self, tokens: VoiceTokens, transcript: str | None) -> VoiceTokens:
        """The tokens of a cloned voice with the transcript of its sample, if both fit into a prompt."""
        if isinstance(tokens, ClonedVoiceTokens) and transcript and self._needed(tokens, transcript) <= self._room:
            return replace(tokens, transcript=transcript)
        return tokens

    def check_transcript(self, tokens: ClonedVoiceTokens, transcript: str, sample: Sample) -> tuple[str, ...]:
        """Warnings about the transcript of a sample.

        Raises InvalidRequest if the transcript cannot be used: if the sample was cut, or if the transcript leaves no
        room in the context for a long sentence and its answer.
        """
        if "\0" in transcript:
            raise InvalidRequest("The transcript contains control characters. Remove them.", "transcript")
        if sample.cut:
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
        if not 1 / UNLIKELY < expected / seconds < UNLIKELY:
            return (f"The transcript takes about {expected:.0f} s to say, but the sample has {seconds:.0f} s.",)
        return ()

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
