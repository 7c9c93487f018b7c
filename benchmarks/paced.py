"""An engine that keeps a GPU's pace by sleeping, so that many replicas fit on a small machine. It speaks noise.

It has what a cluster depends on: slots, a time for each decode step that does not depend on the other slots, and a
first token after a prefill. It computes nothing, so it says nothing about a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np

import engine
from engine import EngineConfig, Observer, Samples, SpeechEngine, open_database
from engine.tokens.vocabulary import Vocabulary
from engine.types import GLOBAL_TOKENS, SAMPLES_PER_TOKEN, OutputGrammar, Passage, Prompt, Sampling, TokenIds

TOKENIZER = Path(engine.__file__).parent / "demo" / "LLM" / "tokenizer.json"
TOGETHER = 10  # tokens that are given on at once, so that the pace costs little of the processor


class PacedModel:
    """A language model of which each token takes `step_seconds`, for up to `slots` sequences at once."""

    context = 4096
    failure: str | None = None

    def __init__(self, vocabulary: Vocabulary, slots: int, step_seconds: float) -> None:
        self._vocabulary = vocabulary
        self._slots = asyncio.Semaphore(slots)
        self._step_seconds = step_seconds

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """Yield as many tokens as there may be, at the pace."""
        v = self._vocabulary
        async with self._slots:
            if prompt.answer is OutputGrammar.VOICE_AND_SPEECH:
                voice = [v.globals.first + (sampling.seed or 0) + number for number in range(GLOBAL_TOKENS)]
                start, end = v.id("<|start_global_token|>"), v.id("<|end_global_token|>")
                yield [start, *voice, end, v.id("<|start_semantic_token|>")]
            for begin in range(0, sampling.max_tokens, TOGETHER):
                tokens = min(TOGETHER, sampling.max_tokens - begin)
                await asyncio.sleep(tokens * self._step_seconds)
                yield [v.semantic.first] * tokens

    async def close(self) -> None:
        """There is nothing to close."""


class NoiseCodec:
    """A codec that takes no time."""

    def encode_batch(self, waves: list[Samples]) -> list[tuple[TokenIds, TokenIds]]:
        """The same tokens for each wave."""
        return [
            (np.zeros(GLOBAL_TOKENS, np.int64), np.zeros(len(wave) // SAMPLES_PER_TOKEN, np.int64)) for wave in waves
        ]

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        """Noise of the right length."""
        noise = np.random.default_rng(0)
        return [
            noise.uniform(-0.1, 0.1, SAMPLES_PER_TOKEN * len(item.semantic[item.kept])).astype(np.float32)
            for item in items
        ]


def paced_engine(observer: Observer, config: EngineConfig, slots: int, step_seconds: float) -> SpeechEngine:
    """An engine with these slots; a token is 20 ms of speech, so 0.005 is four times as fast as speech."""
    config = config.model_copy(update={"retakes": 0})  # every take of the same token would fail as a loop
    vocabulary = Vocabulary(TOKENIZER)
    model = PacedModel(vocabulary, slots, step_seconds)
    return SpeechEngine(config, "paced", vocabulary, model, NoiseCodec(), open_database(config), observer=observer)
