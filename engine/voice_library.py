"""Voices by name: the built-in ones, made up by the model at first use, and those made from samples."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from engine.catalogue import BUILT_IN, VOICE_TEXT, built_in_voices
from engine.codec.worker import CodecWorker
from engine.config import EngineConfig
from engine.errors import InvalidRequest, VoiceExists
from engine.llm.base import LanguageModel
from engine.prompts import Prompts
from engine.samples import load_sample
from engine.types import GLOBAL_TOKENS, Gender, Level, Sampling, TokenIds, Voice, VoiceAttributes, VoiceTokens
from engine.vocabulary import Vocabulary
from engine.voice_store import SampledVoice, VoiceStore

LONGEST_NAME = 256  # characters


class VoiceLibrary:
    """Finds, makes, keeps and forgets voices.

    `model` names the weights: tokens are kept with it, and made anew for other weights.
    """

    def __init__(
        self,
        config: EngineConfig,
        model: str,
        vocabulary: Vocabulary,
        language_model: LanguageModel,
        codec: CodecWorker,
        store: VoiceStore,
    ) -> None:
        self._config = config
        self._model = model
        self._vocabulary = vocabulary
        self._prompts = Prompts(vocabulary)
        self._language_model = language_model
        self._codec = codec
        self._store = store
        self._being_made: dict[VoiceAttributes, asyncio.Task[VoiceTokens]] = {}

    async def tokens(self, voice: str, gender: Gender | None = None, pitch: Level | None = None) -> VoiceTokens:
        """The tokens of a voice by name or id; raises UnknownVoice, or InvalidRequest if it cannot be changed so."""
        if attributes := BUILT_IN.get(voice):
            changed = replace(attributes, gender=gender or attributes.gender, pitch=pitch or attributes.pitch)
            return await self._created(changed)
        row = await asyncio.to_thread(self._store.get, voice)
        if gender or pitch:
            param = "gender" if gender else "pitch"
            raise InvalidRequest(f"{param} changes built-in voices only; {row.name!r} was made from a sample.", param)
        return row.tokens() if row.model == self._model else await self._encode_again(row)

    async def add(self, name: str, sample: bytes, transcript: str | None = None) -> Voice:
        """Make a voice from an audio file; raises InvalidRequest or VoiceExists."""
        name = name.strip()
        if not 1 <= len(name) <= LONGEST_NAME:
            raise InvalidRequest(f"A voice's name has 1 to {LONGEST_NAME} characters.", "name")
        if name in BUILT_IN:
            raise VoiceExists(name)
        encoded = await self._encode(sample)
        transcript = (transcript or "").strip() or None
        return await asyncio.to_thread(self._store.add, name, sample, transcript, self._model, encoded)

    async def list(self) -> list[Voice]:
        """All voices: the built-in ones first."""
        return built_in_voices() + await asyncio.to_thread(self._store.list)

    async def delete(self, voice_id: str) -> None:
        """Forget a voice that was made from a sample; raises UnknownVoice, or InvalidRequest for a built-in one."""
        if voice_id in BUILT_IN:
            raise InvalidRequest(f"{voice_id!r} is a built-in voice and cannot be deleted.", "voice_id")
        await asyncio.to_thread(self._store.delete, voice_id)

    async def close(self) -> None:
        """Stop making voices and close the store."""
        tasks = list(self._being_made.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._store.close)

    async def _encode(self, sample: bytes) -> tuple[TokenIds, TokenIds]:
        wave = await asyncio.to_thread(
            load_sample,
            sample,
            min_seconds=self._config.min_sample_seconds,
            max_seconds=self._config.max_sample_seconds,
        )
        return await self._codec.encode(wave)

    async def _encode_again(self, row: SampledVoice) -> VoiceTokens:
        """The tokens of a voice that was encoded with other weights; kept from now on."""
        encoded = await self._encode(row.sample)
        return (await asyncio.to_thread(self._store.reencoded, row.id, self._model, encoded)).tokens()

    async def _created(self, attributes: VoiceAttributes) -> VoiceTokens:
        """The tokens of a made-up voice. Whoever asks while it is being made waits for the same one."""
        if kept := await asyncio.to_thread(self._store.created, self._model, attributes):
            return kept
        task = self._being_made.get(attributes)
        if task is None:
            task = self._being_made[attributes] = asyncio.create_task(self._create(attributes))
            task.add_done_callback(lambda _: self._being_made.pop(attributes))
        return await asyncio.shield(task)  # a caller that goes away takes it from no one else

    async def _create(self, attributes: VoiceAttributes) -> VoiceTokens:
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
        tokens = VoiceTokens(np.array(codes, np.int64), attributes, tuple(answer[:first]))
        await asyncio.to_thread(self._store.keep_created, self._model, tokens)
        return tokens
