"""The engine: speech samples from a text and a voice. It composes the language model, the codec and the voices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import platformdirs

from engine import checkpoints
from engine.checkpoints import SPARK_TTS_LANGUAGES
from engine.codec.sleeping import SleepingCodec
from engine.codec.worker import Codec, CodecWorker, ObservedCodec
from engine.config import EngineConfig
from engine.errors import NothingToSay
from engine.events import IgnoredMarkup
from engine.listening import Listener
from engine.llm.base import LanguageModel
from engine.llm.sleeping import SleepingLanguageModel
from engine.observer import UNOBSERVED, Observer
from engine.planning import Plan, Planner
from engine.playing import Item, Player
from engine.rates import Rates
from engine.runtime.compute import Compute, run_inline, run_on
from engine.runtime.memory import release_memory
from engine.runtime.processors import default_threads
from engine.runtime.timing import timed
from engine.script.growing import Flush, GrowingText
from engine.speaking import Parts, Speaker
from engine.text import Language, speech_weight
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import (
    AudioChunk,
    Progress,
    Sampling,
    SpeechRequest,
    VoiceTokens,
    no_progress,
)
from engine.voices.catalogue import VOICE_TEXT
from engine.voices.consent_store import ConsentStore
from engine.voices.consents import ConsentLibrary
from engine.voices.database import Database
from engine.voices.files import VoiceFiles
from engine.voices.library import VoiceLibrary
from engine.voices.maker import VoiceMaker
from engine.voices.rates import VoiceRates
from engine.voices.samples import SampleReader
from engine.voices.store import VoiceStore


@dataclass(frozen=True, slots=True)
class Loaders:
    """Functions that load the models again after they were unloaded; both block."""

    language_model: Callable[[], LanguageModel]
    codec: Callable[[], Codec]


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
        loaders: Loaders | None = None,
        languages: tuple[Language, ...] | None = None,
        transcripts: bool = True,
    ) -> None:
        """Compose an engine. `codec_compute` runs the codec; `cores` is shut down with the engine.

        Without `loaders` the models cannot be unloaded. `languages` are those that the checkpoint names.
        With `transcripts` false cloned voices speak without the transcripts of their samples.
        """
        self.languages = languages or SPARK_TTS_LANGUAGES
        self._cores = cores
        self._filters = ThreadPoolExecutor(FILTER_THREADS, "filter")
        self._config = config
        loaders = loaders or Loaders(lambda: language_model, lambda: codec)
        self._language_model = SleepingLanguageModel(language_model, loaders.language_model)
        self._sleeping_codec = SleepingCodec(codec, loaders.codec)
        self._codec_compute = codec_compute
        form = checkpoints.prompt_form(config)
        self._codec = CodecWorker(
            ObservedCodec(self._sleeping_codec, observer.batch), config.codec_batch_seconds, codec_compute
        )
        prompts = Prompts(vocabulary, form)
        self._planner = Planner(config, prompts, self._language_model, languages)
        semantic, model = vocabulary.semantic, model if form == "published" else f"{model}-{form}"
        self._rates = Rates(prompts, semantic, self._language_model, self._codec, VoiceRates(database, model))
        self._listener = Listener(config.listener) if config.listener else None
        parts = Parts(
            config, prompts, semantic, self._language_model, self._codec, self._rates, self._listener, observer
        )
        self._speaker = Speaker(parts)
        self._database = database
        reader = SampleReader(config.min_sample_seconds, config.max_sample_seconds)
        consents = ConsentStore(database)
        self.consents = ConsentLibrary(reader, consents)
        maker = VoiceMaker(prompts, vocabulary, self._language_model, transcripts)
        store = VoiceStore(database, maker.check)
        self.voices = VoiceLibrary(config, model, maker, self._codec, reader, store, consents)
        self.voice_files = VoiceFiles(config, self.voices, store)

    @classmethod
    def load(
        cls, config: EngineConfig, progress: Progress = no_progress, observer: Observer = UNOBSERVED
    ) -> SpeechEngine:
        """Load the configured model; blocks. Downloads and converts it if necessary.

        `progress` reports how far it is. Raises CheckpointError, StoreFailed, or EngineError without the backend.
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
            from engine.codec.selection import choose_form
            from engine.llm.registry import load_language_model
            from engine.tuning.store import recall

        torch.set_num_threads(config.threads or default_threads(torch.get_num_threads()))
        checkpoint = checkpoints.locate_checkpoint(config)
        vocabulary = Vocabulary(checkpoint.language_model.tokenizer, checkpoints.spelling(checkpoint.directory))
        device, form = choose_form(config, recall(checkpoint, config))

        def load_codec() -> BiCodec:
            with timed("Loading the codec"):
                return BiCodec.from_checkpoint(checkpoint.directory, device=device, form=form)

        codec = load_codec()
        vocabulary.check_fit(codec.codebook_size, codec.global_codebook_size)
        database = open_database(config)
        compute = run_on(cores)

        def load_llm() -> LanguageModel:
            with timed("Loading the language model"):
                return load_language_model(checkpoint, config, vocabulary, compute, progress, observer)

        loaders = Loaders(lambda: cores.submit(load_llm).result(), load_codec)
        language_model = load_llm()
        codec_compute: Compute = run_inline
        if device.type == "cpu":
            codec_compute = compute
            # Batches are not faster there, and a window that is due waits for the rest of its batch.
            config = config.model_copy(update={"codec_batch_seconds": 0})
        directory, model = checkpoint.directory, checkpoint.fingerprint
        parts = (config, model, vocabulary, language_model, codec, database, codec_compute, cores, observer, loaders)
        return cls(*parts, checkpoints.spoken_languages(directory), checkpoints.uses_transcripts(directory))

    @property
    def failure(self) -> str | None:
        """The reason why the engine cannot answer requests; None if it can."""
        return self._language_model.failure

    @property
    def asleep(self) -> bool:
        """Whether the models are unloaded."""
        return self._language_model.asleep and self._sleeping_codec.asleep

    async def sleep(self) -> bool:
        """Unload the models, and give their memory back; false if sentences are being generated.

        The next request that needs a model loads it again.
        """
        if not await self._language_model.sleep():
            return False
        self._sleeping_codec.sleep()
        await asyncio.to_thread(release_memory)
        return True

    async def wake(self) -> None:
        """Load the models again, if they are unloaded; raises EngineError if that fails."""
        await self._language_model.wake()
        await asyncio.to_thread(self._codec_compute, self._sleeping_codec.wake)

    async def warm_up(self) -> None:
        """Synthesize and encode once, so that no request has to wait for one-time initialization."""
        # A self-voiced model makes its first voice here, for which one word would be little.
        text = VOICE_TEXT if self.voices.self_voiced else "Hello."
        request = SpeechRequest(text, "female", max_tokens=10, sampling=Sampling(seed=0))
        with timed("Warming up"):
            async with aclosing(self.synthesize(request)) as chunks:
                async for _ in chunks:
                    pass
            noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
            await self._codec.encode(noise)

    async def synthesize(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]:
        """Yield the speech in order, each chunk as soon as it is generated.

        Closing it frees everything. Raises InvalidRequest, NothingToSay, UnknownVoice, ConsentRequired or StoreFailed
        before the first chunk, BackendFailed or EngineClosed at any time. The same seed gives the same samples.
        """
        self._speaker.check(request)
        script = await asyncio.to_thread(self._planner.script, request)
        plan = self._planner.plan(request, await self._voices(request, script.voices()))
        items = await asyncio.to_thread(plan.all_items, script, asyncio.get_running_loop().time())
        if not items:
            raise NothingToSay
        ignored = (IgnoredMarkup(script.ignored),) if script.ignored else ()
        player = Player(self._speaker, self._filters, request, self._listener, script.marks)
        async with aclosing(player.play(_each(items), self._config.sentences_ahead, ignored)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def synthesize_growing(
        self, request: SpeechRequest, text: AsyncIterator[str | Flush]
    ) -> AsyncGenerator[AudioChunk, None]:
        """Yield the speech of a plain text that is still being written, each sentence as soon as its end is certain.

        The text comes from `text`, not from the request; its samples are those of one request for all of it, up to the
        first Flush. Closing the generator frees all resources. Raises as `synthesize` does.
        """
        self._speaker.check(request)
        plan = self._planner.plan(request, await self._voices(request, ()))
        player = Player(self._speaker, self._filters, request, self._listener)
        items = _growing(plan, GrowingText(plan.reading(request.voice)), text)
        async with aclosing(player.play(items, self._config.sentences_ahead)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _voices(self, request: SpeechRequest, named: Iterable[str]) -> dict[str, VoiceTokens]:
        """Return the tokens of the request's voice and of those that its text names, by their names."""
        voice = await self.voices.tokens(
            request.voice, request.caller, request.gender, request.pitch, request.rate, text=request.text or VOICE_TEXT
        )
        others = {name: await self.voices.tokens(name, request.caller) for name in set(named) - {request.voice}}
        return {request.voice: voice, **others}

    async def close(self) -> None:
        """Stop all work. Running requests get EngineClosed."""
        await self._rates.close()
        if self._listener:
            await self._listener.close()
        await self._language_model.close()
        await self._codec.close()
        await self.voices.close()
        await asyncio.to_thread(self._database.close)
        for executor in (self._filters, self._cores):
            if executor is not None:
                await asyncio.to_thread(executor.shutdown)


async def _each(items: Iterable[Item]) -> AsyncGenerator[Item, None]:
    for item in items:
        yield item


async def _growing(plan: Plan, growing: GrowingText, text: AsyncIterator[str | Flush]) -> AsyncGenerator[Item, None]:
    """Yield the items of a growing text, as soon as each is certain."""

    def more(step: str | Flush) -> list[Item]:
        units = growing.flush() if isinstance(step, Flush) else growing.write(step)
        return plan.items(units, now, growing.following)

    async for step in text:
        now = asyncio.get_running_loop().time()
        for item in await asyncio.to_thread(more, step):
            yield item
    now = asyncio.get_running_loop().time()
    for item in await asyncio.to_thread(more, Flush()):
        yield item


def expected_seconds(request: SpeechRequest) -> float:
    """Estimate the response's length in seconds. A `speed` above 1 does not reduce it: generation takes as long."""
    return speech_weight(request.text) / min(request.speed, 1)


def open_database(config: EngineConfig) -> Database:
    """Open the configured voice store; raises EngineError."""
    directory = config.data_directory or platformdirs.user_data_path("fast-spark")
    return Database(config.voices) if config.voices else Database.in_directory(directory)
