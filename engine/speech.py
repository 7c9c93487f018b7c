"""The engine: text and a voice in, samples out. It composes the language model, the codec and the voices."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

import numpy as np
import platformdirs

from engine import checkpoint
from engine.codec.worker import Codec, CodecWorker
from engine.config import EngineConfig
from engine.errors import InvalidRequest
from engine.llm.base import LanguageModel
from engine.postprocess import PostProcessor
from engine.prompts import Prompts
from engine.text import max_semantic_tokens, normalise, split_sentences
from engine.types import AudioChunk, Progress, Samples, Sampling, SpeechRequest, Usage, VoiceTokens
from engine.vocabulary import Vocabulary
from engine.voice_library import VoiceLibrary
from engine.voice_store import VoiceStore

Result = TypeVar("Result")


class SpeechEngine:
    """One long-lived engine serves all requests; its parts are passed in, so that each can be another."""

    def __init__(
        self,
        config: EngineConfig,
        model: str,
        vocabulary: Vocabulary,
        language_model: LanguageModel,
        codec: Codec,
        store: VoiceStore,
    ) -> None:
        self._config = config
        self._semantic = vocabulary.semantic
        self._prompts = Prompts(vocabulary)
        self._language_model = language_model
        self._codec = CodecWorker(codec, config.codec_batch_seconds)
        self.voices = VoiceLibrary(config, model, vocabulary, language_model, self._codec, store)

    @classmethod
    def load(cls, config: EngineConfig, progress: Progress = lambda done, total: None) -> SpeechEngine:
        """Load the model that the configuration names, making or downloading it if need be; blocks.

        `progress` tells how far the demo model has been made. Raises CheckpointError.
        """
        from engine.codec.bicodec import BiCodec
        from engine.devices import resolve
        from engine.llm.registry import load_language_model

        directory = checkpoint.locate(config.model, config.hub, progress)
        vocabulary = Vocabulary(directory / "LLM" / "tokenizer.json")
        device, dtype = resolve(config.codec_device, config.codec_precision)
        codec = BiCodec.from_checkpoint(directory, device=device, dtype=dtype)
        store = open_store(config)
        language_model = load_language_model(directory, config, vocabulary)
        return cls(config, checkpoint.fingerprint(directory), vocabulary, language_model, codec, store)

    async def warm_up(self) -> None:
        """Speak and listen once, so that no user waits for what happens only the first time."""
        request = SpeechRequest("Hello.", "female", max_tokens=10, sampling=Sampling(seed=0))
        async with aclosing(self.synthesize(request)) as chunks:
            async for _ in chunks:
                pass
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
        await self._codec.encode(noise)

    async def synthesize(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]:
        """Yield the speech as soon as it exists, in order.

        Closing the generator frees all that the request holds. Raises InvalidRequest or UnknownVoice before
        the first chunk, BackendFailed at any time. The same request with the same seed gives the same samples.
        """
        sentences = self._sentences(request.text)
        voice = await self.voices.tokens(request.voice, request.gender, request.pitch)
        seed = secrets.randbits(64) if request.sampling.seed is None else request.sampling.seed
        seeds = np.random.SeedSequence(seed).generate_state(len(sentences), np.uint64).tolist()
        jobs = [
            lambda sentence=sentence, seed=seed: self._speak(sentence, seed, voice, request)
            for sentence, seed in zip(sentences, seeds, strict=True)
        ]
        processor = PostProcessor(request.speed, request.sample_rate)
        usage = Usage()
        async with aclosing(side_by_side(jobs, self._config.sentences_ahead)) as spoken:
            async for samples, used in spoken:
                usage = Usage(usage.input_tokens + used.input_tokens, usage.output_tokens + used.output_tokens)
                ready = await asyncio.to_thread(processor.push, samples)
                if ready.size:
                    yield AudioChunk(ready, usage)
        rest = await asyncio.to_thread(processor.flush)
        if rest.size:
            yield AudioChunk(rest, usage)

    async def close(self) -> None:
        """Stop all work; requests that still run get EngineClosed."""
        await self._language_model.close()
        await self._codec.close()
        await self.voices.close()

    def _sentences(self, text: str) -> list[str]:
        sentences = split_sentences(normalise(text))
        if not sentences:
            raise InvalidRequest("There is nothing to say in this text: it has neither letters nor digits.", "input")
        return sentences

    async def _speak(
        self, sentence: str, seed: int, voice: VoiceTokens, request: SpeechRequest
    ) -> tuple[Samples, Usage]:
        """One sentence's samples at 16 kHz."""
        prompt = self._prompts.speak(sentence, voice)
        bound = max_semantic_tokens(sentence)
        sampling = replace(request.sampling, seed=seed, max_tokens=min(bound, request.max_tokens or bound))
        ids: list[int] = []
        async with aclosing(self._language_model.generate(prompt, sampling)) as answer:
            async for new in answer:
                ids += new
        semantic = np.array(ids, np.int64) - self._semantic.first
        samples = await self._codec.decode(semantic, voice.global_tokens)
        return samples, Usage(len(prompt.ids), len(ids))


def open_store(config: EngineConfig) -> VoiceStore:
    """The voice store that the configuration names."""
    if config.voices:
        return VoiceStore(config.voices)
    return VoiceStore.in_directory(config.data_directory or platformdirs.user_data_path("fast-spark"))


async def side_by_side(jobs: Iterable[Callable[[], Awaitable[Result]]], limit: int) -> AsyncGenerator[Result, None]:
    """Yield the jobs' results in order, while up to `limit` of them run; closing it cancels those that do."""

    async def run(job: Callable[[], Awaitable[Result]]) -> Result:
        return await job()

    running: deque[asyncio.Task[Result]] = deque()
    try:
        for job in jobs:
            if len(running) == limit:
                yield await running.popleft()
            running.append(asyncio.create_task(run(job)))
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
