"""Prompts and answers that tests of several backends share."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from engine.llm.base import LanguageModel
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import OutputGrammar, Prompt, Sampling, VoiceAttributes, VoiceTokens

VOICE = VoiceTokens(np.arange(32) * 5)
SAMPLED = VoiceTokens(np.arange(32) * 7, transcript="Some words.", semantic_tokens=np.arange(40) * 3)


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


async def generate_staggered(model: LanguageModel, asked: Sequence[Prompt], sampling: Sampling) -> list[list[int]]:
    """The answers to several prompts; each prompt joins when the one before it has its first id."""

    async def rest(first: list[int], answer: AsyncGenerator[list[int], None]) -> list[int]:
        return [*first, *[token async for ids in answer for token in ids]]

    answers = []
    for prompt in asked:
        answer = model.generate(prompt, sampling)
        answers.append(asyncio.create_task(rest(await anext(answer), answer)))
    return await asyncio.gather(*answers)
