"""What the models need to speak in a voice: made up by the language model, or taken from what is heard in a sample."""

from __future__ import annotations

from contextlib import aclosing

import numpy as np

from engine.errors import InvalidRequest
from engine.llm.base import LanguageModel
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import GLOBAL_TOKENS, TOKENS_PER_SECOND, Sampling, TokenPair, VoiceAttributes, VoiceTokens
from engine.voices.catalogue import VOICE_TEXT

SENTENCE_TOKENS = 1550 + 250
"""Tokens that the longest sentence may need: `max_semantic_tokens` of 12 s, its text, and the prompt's own."""


class VoiceMaker:
    """Makes the tokens of voices for one language model."""

    def __init__(self, vocabulary: Vocabulary, language_model: LanguageModel) -> None:
        self._vocabulary = vocabulary
        self._prompts = Prompts(vocabulary)
        self._language_model = language_model

    async def create(self, attributes: VoiceAttributes) -> VoiceTokens:
        """Let the model make up a voice: all of its answer that comes before the speech."""
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
        return VoiceTokens(np.array(codes, np.int64), attributes, tuple(answer[:first]))

    @staticmethod
    def created(attributes: VoiceAttributes, kept: TokenPair) -> VoiceTokens:
        """The voice that was made up from attributes before."""
        return VoiceTokens(kept[0], attributes, tuple(kept[1].tolist()))

    def clone(self, heard: TokenPair, transcript: str | None) -> VoiceTokens:
        """The voice of a sample; in the sample's own manner if its transcript is known, and fits into the prompt."""
        if transcript and self._needed(heard, transcript) <= self._room:
            return VoiceTokens(heard[0], transcript=transcript, semantic_tokens=heard[1])
        return VoiceTokens(heard[0])

    def check_transcript(self, heard: TokenPair, transcript: str) -> None:
        """Raise InvalidRequest if the prompt of a long sentence, and its answer, would not fit with this transcript."""
        needed = self._needed(heard, transcript)
        if needed > self._room:
            seconds = len(heard[1]) / TOKENS_PER_SECOND
            raise InvalidRequest(
                f"The sample of {seconds:.1f} s and its transcript take {needed} tokens, and this server has room for "
                f"{max(self._room, 0)} beside a sentence; send a shorter sample, or no transcript.",
                "transcript",
            )

    @property
    def _room(self) -> int:
        return self._language_model.context - SENTENCE_TOKENS

    def _needed(self, heard: TokenPair, transcript: str) -> int:
        return len(heard[1]) + len(self._vocabulary.text(transcript))


def pair(made: VoiceTokens) -> TokenPair:
    """What is kept of a voice that was made up."""
    return made.global_tokens, np.array(made.acoustic_ids, np.int64)
