"""Prompts and answers that tests of several backends share."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from engine.llm.base import LanguageModel
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import ClonedVoiceTokens, OutputGrammar, Prompt, Sampling, VoiceAttributes

VOICE = ClonedVoiceTokens(np.arange(32) * 5)
SAMPLED = ClonedVoiceTokens(np.arange(32) * 7, np.arange(40) * 3, "Some words.")


def prompts(vocabulary: Vocabulary) -> list[Prompt]:
    """A prompt of each form."""
    forms = Prompts(vocabulary)
    return [
        forms.speak("Hello world, how are you?", VOICE),
        forms.speak("你好。", SAMPLED),
        forms.create_voice("Good morning.", VoiceAttributes("female")),
    ]


def speech(length: int) -> Prompt:
    """A prompt of this length, whose answer is speech."""
    return Prompt((0,) * length, OutputGrammar.SPEECH)


async def generate(model: LanguageModel, prompt: Prompt, sampling: Sampling) -> list[int]:
    """All ids of an answer."""
    return [token async for ids in model.generate(prompt, sampling) for token in ids]


async def generate_staggered(model: LanguageModel, asked: Sequence[tuple[Prompt, Sampling]]) -> list[list[int]]:
    """The answers to several requests; each request joins when the one before it has its first ids."""

    async def rest(first: list[int], answer: AsyncGenerator[list[int], None]) -> list[int]:
        return [*first, *[token async for ids in answer for token in ids]]

    answers = []
    for prompt, sampling in asked:
        answer = model.generate(prompt, sampling)
        answers.append(asyncio.create_task(rest(await anext(answer), answer)))
    return await asyncio.gather(*answers)
