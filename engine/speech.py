"""The engine: speech samples from a text and a voice. It composes the language model, the codec and the voices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from functools import partial

import numpy as np
import platformdirs

from engine import checkpoints
from engine.codec.worker import Codec, CodecWorker, ObservedCodec
from engine.config import EngineConfig
from engine.llm.base import LanguageModel
from engine.observer import UNOBSERVED, Observer
from engine.planning import Planner
from engine.postprocess import PostProcessor
from engine.runtime.compute import Compute, run_inline, run_on
from engine.runtime.native import Native
from engine.runtime.ordered import in_order
from engine.runtime.processors import default_threads
from engine.runtime.timing import timed
from engine.speaking import Speaker
from engine.text import speech_weight
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import (
    AudioChunk,
    Progress,
    Sampling,
    SpeechRequest,
    Usage,
    no_progress,
)
from engine.voices.consent_store import ConsentStore
from engine.voices.consents import ConsentLibrary
from engine.voices.database import Database
from engine.voices.files import VoiceFiles
from engine.voices.library import VoiceLibrary
from engine.voices.maker import VoiceMaker
from engine.voices.samples import SampleReader
from engine.voices.store import VoiceStore

FILTER_THREADS = 2  # a second of speech takes one of them a few milliseconds


class SpeechEngine:
    """The speech engine. One instance serves all requests."""

    def __init__(
        self,
        config: EngineConfig,
        model: str,
        vocabulary: Vocabulary,
        language_model: LanguageModel,
        codec: Codec,
        database: Database,
        codec_compute: Compute = run_inline,
        cores: Executor | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """Compose an engine. `codec_compute` runs the codec; `cores` is shut down with the engine."""
        self._cores = cores
        self._filters = ThreadPoolExecutor(FILTER_THREADS, "filter")
        self._config = config
        self._language_model = language_model
        self._codec = CodecWorker(ObservedCodec(codec, observer.batch), config.codec_batch_seconds, codec_compute)
        prompts = Prompts(vocabulary)
        self._planner = Planner(config, prompts, language_model)
        self._speaker = Speaker(config, prompts, vocabulary.semantic, language_model, self._codec)
        self._database = database
        reader = SampleReader(config.min_sample_seconds, config.max_sample_seconds)
        consents = ConsentStore(database)
        self.consents = ConsentLibrary(reader, consents)
        maker = VoiceMaker(vocabulary, language_model)
        store = VoiceStore(database, maker.check)
        self.voices = VoiceLibrary(config, model, maker, self._codec, reader, store, consents)
        self.voice_files = VoiceFiles(config, self.voices, store)

    @classmethod
    def load(
        cls,
        config: EngineConfig,
        progress: Progress = no_progress,
        observer: Observer = UNOBSERVED,
    ) -> SpeechEngine:
        """Load the configured model; blocks. Downloads and converts it if necessary.

        `progress` reports the progress of the conversion. Raises CheckpointError.
        """
        cores = ThreadPoolExecutor(1, "cores")
        try:
            # In this thread too: synthesis uses the thread pool of torch that loading creates.
            return cores.submit(cls._load, config, progress, observer, cores).result()
        except BaseException:
            cores.shutdown()
            raise

    @classmethod
    def _load(cls, config: EngineConfig, progress: Progress, observer: Observer, cores: Executor) -> SpeechEngine:
        with timed("Importing the libraries"):
            import torch

            from engine.codec.bicodec import BiCodec
            from engine.llm.registry import load_language_model
            from engine.runtime.devices import resolve_for_codec

        torch.set_num_threads(config.threads or default_threads(torch.get_num_threads()))
        directory = checkpoints.locate(config.model, config.hub)
        vocabulary = Vocabulary(directory / "LLM" / "tokenizer.json")
        device, dtype = resolve_for_codec(config.codec_device, config.codec_precision)
        with timed("Loading the codec"):
            codec = BiCodec.from_checkpoint(directory, device=device, dtype=dtype)
        database = open_database(config)
        compute = run_on(cores)
        with timed("Loading the language model"):
            language_model = load_language_model(directory, config, vocabulary, compute, progress, observer)
        model = checkpoints.fingerprint(directory)
        codec_compute = compute if device.type == "cpu" else run_inline
        return cls(config, model, vocabulary, language_model, codec, database, codec_compute, cores, observer)

    @property
    def failure(self) -> str | None:
        """The reason why the engine cannot answer requests; None if it can."""
        return self._language_model.failure

    async def warm_up(self) -> None:
        """Synthesize and encode once, so that no request has to wait for one-time initialization."""
        request = SpeechRequest("Hello.", "female", max_tokens=10, sampling=Sampling(seed=0))
        with timed("Warming up"):
            async with aclosing(self.synthesize(request)) as chunks:
                async for _ in chunks:
                    pass
            noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
            await self._codec.encode(noise)

    async def synthesize(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]:
        """Yield the speech in order, each chunk as soon as it is generated.

        Closing the generator frees all resources of the request. Raises InvalidRequest, NothingToSay or UnknownVoice
        before the first chunk, BackendFailed at any time. The same request with the same seed gives the same samples.
        """
        voice = await self.voices.tokens(request.voice, request.caller, request.gender, request.pitch)
        now = asyncio.get_running_loop().time()
        sentences = await asyncio.to_thread(self._planner.sentences, request, voice, now)
        usage = Usage()
        streams = [partial(self._speaker.speak, sentence, request) for sentence in sentences]
        make = partial(PostProcessor, request.speed, request.sample_rate)
        async with Native(self._filters, make, PostProcessor.close) as processor:
            async with aclosing(in_order(streams, self._config.sentences_ahead)) as spoken:
                async for chunk in spoken:
                    usage += chunk.usage
                    ready = await processor.run(PostProcessor.push, chunk.samples)
                    if ready.size or chunk.events:
                        yield AudioChunk(ready, usage, chunk.events)
            rest = await processor.run(PostProcessor.flush)
            if rest.size:
                yield AudioChunk(rest, usage)

    async def close(self) -> None:
        """Stop all work. Running requests get EngineClosed."""
        await self._language_model.close()
        await self._codec.close()
        await self.voices.close()
        await asyncio.to_thread(self._database.close)
        for executor in (self._filters, self._cores):
            if executor is not None:
                await asyncio.to_thread(executor.shutdown)


def expected_seconds(request: SpeechRequest) -> float:
    """Estimate the response's length in seconds. A `speed` above 1 does not reduce it: generation takes as long."""
    return speech_weight(request.text) / min(request.speed, 1)


def open_database(config: EngineConfig) -> Database:
    """Open the configured voice store; raises EngineError."""
    directory = config.data_directory or platformdirs.user_data_path("fast-spark")
    return Database(config.voices) if config.voices else Database.in_directory(directory)
