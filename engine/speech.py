"""The engine: speech samples from a text and a voice. It composes the language model, the codec and the voices."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

import numpy as np
import platformdirs

from engine import checkpoints
from engine.codec.windows import Window, WindowPlan, Windows
from engine.codec.worker import Codec, CodecWorker, ObservedCodec
from engine.config import EngineConfig
from engine.errors import InvalidRequest, NothingToSay
from engine.llm.base import LanguageModel
from engine.observer import UNOBSERVED, Observer
from engine.postprocess import PostProcessor, fade
from engine.runtime.compute import Compute, run_inline, run_on
from engine.runtime.lookahead import Lookahead
from engine.runtime.native import Native
from engine.runtime.ordered import in_order
from engine.runtime.processors import default_threads
from engine.runtime.timing import timed
from engine.text import NoRoom, fit, max_semantic_tokens, speech_weight, spoken_sentences
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import (
    TOKENS_PER_SECOND,
    AudioChunk,
    Passage,
    Progress,
    Samples,
    Sampling,
    SpeechRequest,
    Usage,
    VoiceTokens,
    no_progress,
)
from engine.voices.consent_store import ConsentStore
from engine.voices.consents import ConsentLibrary
from engine.voices.database import Database
from engine.voices.library import VoiceLibrary
from engine.voices.maker import VoiceMaker
from engine.voices.samples import SampleReader
from engine.voices.store import VoiceStore

MAX_TEXT_TOKENS = 500  # of a sentence; 12 seconds of the rarest characters have 250
FILTER_THREADS = 2  # a second of speech takes one of them a few milliseconds


@dataclass(frozen=True, slots=True)
class Sentence:
    """A part of a text, its random numbers, and the estimated time of its playback (in the event loop's time)."""

    text: str
    seed: int
    due: float


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
        self._plan = WindowPlan(
            context=config.window_context,
            first=config.window_first,
            first_lookahead=config.window_first_lookahead,
            growth=config.window_growth,
            largest=config.window_largest,
        )
        self._semantic = vocabulary.semantic
        self._prompts = Prompts(vocabulary)
        self._language_model = language_model
        self._lookahead = Lookahead(config.max_running - config.max_running // 4)
        codec = ObservedCodec(codec, observer.batch)
        self._codec = CodecWorker(codec, config.codec_batch_seconds, codec_compute)
        self._database = database
        reader = SampleReader(config.min_sample_seconds, config.max_sample_seconds)
        consents = ConsentStore(database)
        self.consents = ConsentLibrary(reader, consents)
        maker = VoiceMaker(vocabulary, language_model)
        store = VoiceStore(database, maker.check)
        self.voices = VoiceLibrary(config, model, maker, self._codec, reader, store, consents)

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
        sentences = await self._sentences(request, voice)
        usage = Usage()
        streams = [partial(self._speak, sentence, voice, request) for sentence in sentences]
        make = partial(PostProcessor, request.speed, request.sample_rate)
        async with Native(self._filters, make, PostProcessor.close) as processor:
            async with aclosing(in_order(streams, self._config.sentences_ahead)) as spoken:
                async for samples, used in spoken:
                    usage = Usage(usage.input_tokens + used.input_tokens, usage.output_tokens + used.output_tokens)
                    ready = await processor.run(PostProcessor.push, samples)
                    if ready.size:
                        yield AudioChunk(ready, usage)
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

    async def _sentences(self, request: SpeechRequest, voice: VoiceTokens) -> list[Sentence]:
        texts = await asyncio.to_thread(self._texts, request, voice)
        if not texts:
            raise NothingToSay
        seed = secrets.randbits(64) if request.sampling.seed is None else request.sampling.seed
        seeds = np.random.SeedSequence(seed).generate_state(len(texts), np.uint64).tolist()
        now = asyncio.get_running_loop().time()
        starts = accumulate((speech_weight(text) for text in texts), initial=now)
        return [Sentence(*values) for values in zip(texts, seeds, starts, strict=False)]

    def _texts(self, request: SpeechRequest, voice: VoiceTokens) -> list[str]:
        """Split the sentences into parts that fit into the context, with the prompt and the output."""
        sentences = spoken_sentences(request.text, self._config.reading(request.reading))
        longest = len(self._prompts.speak("", voice).ids) + MAX_TEXT_TOKENS

        def fits(text: str) -> bool:
            tokens = len(self._prompts.speak(text, voice).ids)
            return tokens <= longest and tokens + max_semantic_tokens(text) <= self._language_model.context

        try:
            return [part for sentence in sentences for part in fit(sentence.text, fits)]
        except NoRoom as error:
            raise InvalidRequest(
                f"The sample of the voice {request.voice!r} is so long that this model has no room left to speak with "
                "it; make the voice from a shorter sample, or raise the server's `max_context`.",
                "voice",
            ) from error

    async def _speak(
        self, sentence: Sentence, voice: VoiceTokens, request: SpeechRequest
    ) -> AsyncGenerator[tuple[Samples, Usage], None]:
        """Yield one sentence's samples at 16 kHz, window by window, with the number of tokens of each."""
        prompt = self._prompts.speak(sentence.text, voice)
        bound = max_semantic_tokens(sentence.text)
        sampling = replace(request.sampling, seed=sentence.seed, max_tokens=min(bound, request.max_tokens or bound))
        windows = Windows(self._plan)
        tokens: list[int] = []
        prompt_tokens = len(prompt.ids)
        ended = False
        async with (
            self._lookahead.take(sentence.due),
            aclosing(self._language_model.generate(prompt, sampling, sentence.due)) as answer,
        ):
            while not ended:
                new = await anext(answer, None)
                ended = new is None
                tokens += [token - self._semantic.first for token in new or ()]
                while window := windows.next(len(tokens), ended=ended):
                    yield (
                        await self._decode(tokens, window, voice, sentence.due),
                        Usage(prompt_tokens, window.keep_end - window.keep_start),
                    )
                    prompt_tokens = 0  # counted once

    async def _decode(self, tokens: list[int], window: Window, voice: VoiceTokens, start: float) -> Samples:
        """Decode the new samples of a window, in a sentence whose playback begins at `start`.

        Sentences are joined without pauses: the model generates them.
        """
        semantic = np.array(tokens[window.start : window.end], np.int64)
        kept = slice(window.keep_start - window.start, window.keep_end - window.start)
        due = start + window.keep_start / TOKENS_PER_SECOND
        samples = await self._codec.decode(Passage(semantic, voice.global_tokens, kept), due)
        return fade(samples, start=window.keep_start == 0, end=window.last)


def expected_seconds(request: SpeechRequest) -> float:
    """Estimate the response's length in seconds. A `speed` above 1 does not reduce it: generation takes as long."""
    return speech_weight(request.text) / min(request.speed, 1)


def open_database(config: EngineConfig) -> Database:
    """Open the configured voice store; raises EngineError."""
    directory = config.data_directory or platformdirs.user_data_path("fast-spark")
    return Database(config.voices) if config.voices else Database.in_directory(directory)
