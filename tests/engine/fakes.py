"""A language model and a codec that follow the Protocols, without weights."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np

from engine.codec.windows import WindowPlan
from engine.config import EngineConfig, PauseConfig
from engine.errors import BackendFailed
from engine.observer import UNOBSERVED, Observer
from engine.speech import SpeechEngine
from engine.tokens.vocabulary import Vocabulary
from engine.types import SAMPLES_PER_TOKEN, OutputGrammar, Passage, Prompt, Samples, Sampling, TokenIds
from engine.voices.database import Database
from tests.waiting import NEVER

FIRST_WINDOW = WindowPlan().first + WindowPlan().first_lookahead  # tokens that are enough for it


class FakeLanguageModel:
    """Says as many tokens as it may, all of them the length of the prompt; gives a voice by its seed."""

    context = 4096
    failure: str | None = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.prompts: list[Prompt] = []
        self.samplings: list[Sampling] = []
        self.dues: list[float] = []
        self.running = 0
        self.most_running = 0
        self.closed = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.delimits = True  # a self-voiced model's answers, after the voice
        self.fail_at: int | None = None
        self.pause_after: int | None = None  # tokens, of answers that begin while it is set
        self.resume = asyncio.Event()

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        self.loop = asyncio.get_running_loop()
        self.dues.append(due)
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        number = len(self.prompts)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if number == self.fail_at:
                raise BackendFailed("The language model failed: out of memory")
            if prompt.answer is OutputGrammar.VOICE_AND_SPEECH:
                yield self.voice(sampling.seed or 0)
            if prompt.answer is OutputGrammar.OWN_VOICE_AND_SPEECH:
                yield [self.vocabulary.globals.first + len(prompt.ids) % 4096] * 32
            if prompt.answer is OutputGrammar.AFTER_VOICE and self.delimits:
                names = "<|end_global_token|>", "<|start_semantic_token|>"
                yield [self.vocabulary.id(name) for name in names]
            token = self.vocabulary.semantic.first + len(prompt.ids) % 512
            before = min(self.pause_after or 0, sampling.max_tokens)
            if before:
                yield [token] * before
                await self.resume.wait()
            yield [token] * (sampling.max_tokens - before)
        finally:
            self.running -= 1

    def voice(self, seed: int) -> list[int]:
        v = self.vocabulary
        values = [v.acoustic["pitch_value"].first + seed % v.acoustic["pitch_value"].count]
        globals_ = [v.globals.first + (seed + n) % 4096 for n in range(32)]
        return [
            *values,
            v.id("<|start_global_token|>"),
            *globals_,
            v.id("<|end_global_token|>"),
            v.id("<|start_semantic_token|>"),
        ]

    async def close(self) -> None:
        self.closed = True


class FakeCodec:
    """A token t sounds as 320 samples of t / 1000, plus the voice's first token / 100000."""

    def __init__(self) -> None:
        self.encoded = 0
        self.decoded = 0
        self.fail = False
        self.gate = threading.Event()
        self.gate.set()

    def encode_batch(self, waves: list[Samples]) -> list[tuple[TokenIds, TokenIds]]:
        self.encoded += len(waves)
        return [(np.full(32, len(wave) % 4096), np.arange(len(wave) // SAMPLES_PER_TOKEN) % 512) for wave in waves]

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        self.gate.wait(NEVER)
        if self.fail:
            raise RuntimeError("the device is gone")
        self.decoded += len(items)
        return [
            np.repeat(semantic[kept] / 1000 + voice[0] / 100_000, SAMPLES_PER_TOKEN).astype(np.float32)
            for semantic, voice, kept in items
        ]


def fake_engine(
    vocabulary: Vocabulary,
    directory: Path,
    *,
    language_model: FakeLanguageModel | None = None,
    codec: FakeCodec | None = None,
    model: str = "weights-1",
    config: EngineConfig | None = None,
    observer: Observer = UNOBSERVED,
    database: Database | None = None,
    transcripts: bool = True,
) -> SpeechEngine:
    """An engine of fakes with a real store. Its sentences, of one token each, are neither checked nor trimmed."""
    unchecked = {"retakes": 0, "pauses": PauseConfig(sentence_seconds=None)}
    return SpeechEngine(
        (config or EngineConfig()).model_copy(update=unchecked),
        model,
        vocabulary,
        language_model or FakeLanguageModel(vocabulary),
        codec or FakeCodec(),
        database or Database.in_directory(directory),
        observer=observer,
        transcripts=transcripts,
    )
