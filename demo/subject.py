"""The model whose speech is measured, in its engine."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from engine import EngineConfig, Level, Sampling, SpeechEngine, SpeechRequest
from engine.text import max_semantic_tokens
from engine.types import CODEC_SAMPLE_RATE, Samples


@dataclass(frozen=True, slots=True)
class Spoken:
    """The model's speech for a sentence."""

    text: str
    samples: Samples
    ended: bool


class Subject:
    """The demo model in its engine."""

    def __init__(self, engine: SpeechEngine) -> None:
        self.engine = engine

    async def say(self, text: str, voice: str, seed: int = 0, pitch: Level | None = None) -> Spoken:
        """One sentence at 16 kHz."""
        request = SpeechRequest(text, voice, sample_rate=16_000, sampling=Sampling(seed=seed), pitch=pitch)
        pieces, tokens = [], 0
        async with aclosing(self.engine.synthesize(request)) as chunks:
            async for chunk in chunks:
                pieces.append(chunk.samples)
                tokens = chunk.usage.output_tokens
        return Spoken(text, np.concatenate(pieces), tokens < max_semantic_tokens(text))

    async def clone(self, name: str, sample: Samples, transcript: str | None = None) -> None:
        """Make a voice of a recording."""
        file = io.BytesIO()
        soundfile.write(file, sample, CODEC_SAMPLE_RATE, format="WAV")
        await self.engine.voices.add(name, file.getvalue(), transcript)

    async def all(self, texts: list[str], voice: str) -> list[Spoken]:
        """Sentences in one voice, some at a time."""
        return list(await asyncio.gather(*(self.say(text, voice, seed) for seed, text in enumerate(texts))))


@asynccontextmanager
async def loaded(model: str, backend: str, directory: Path) -> AsyncGenerator[Subject, None]:
    """An engine with a checkpoint; its voices are kept in `directory`."""
    config = EngineConfig.model_validate(
        {"model": model, "backend": backend, "max_running": 16, "data_directory": directory}
    )
    engine = SpeechEngine.load(config)
    try:
        yield Subject(engine)
    finally:
        await engine.close()
