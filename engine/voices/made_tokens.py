"""Makes this model's tokens of voices, once for each voice, and saves them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from engine.codec.worker import CodecWorker
from engine.errors import InvalidRequest, StoreFailed
from engine.types import ClonedVoiceTokens, CreatedVoiceTokens, Voice, VoiceAttributes, VoiceTokens
from engine.voices.catalogue import VOICE_TEXT
from engine.voices.maker import VoiceMaker
from engine.voices.samples import Heard, SampleReader
from engine.voices.store import VoiceStore

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

WAIT_SECONDS = 0.1  # between two looks at whether another process has created a voice


class MadeTokens:
    """Makes and saves tokens of voices. `model` identifies the weights."""

    def __init__(
        self, model: str, maker: VoiceMaker, codec: CodecWorker, reader: SampleReader, store: VoiceStore
    ) -> None:
        self._model = model
        self._maker = maker
        self._codec = codec
        self._reader = reader
        self._store = store
        self._being_made: dict[Hashable, asyncio.Task[Any]] = {}

    async def heard(self, sample: bytes) -> tuple[Heard, ClonedVoiceTokens]:
        """What is in an audio file, and its tokens, which are not saved; raises InvalidRequest."""
        heard = await self._reader.read(sample)
        return heard, ClonedVoiceTokens(*await self._codec.encode(heard.samples))

    async def close(self) -> None:
        """Stop making voices."""
        tasks = list(self._being_made.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def of(self, voice: Voice, text: str = VOICE_TEXT, prefix: str = "") -> VoiceTokens:
        """Make and save this model's tokens of a voice that was made with another model, or not yet.

        A self-voiced model makes it for the beginning of `text`, with `prefix` before it.
        """
        if voice.attributes and voice.built_in:
            return await self.created(voice.attributes, text)
        if voice.from_tokens:
            raise StoreFailed(f"The tokens of {voice.name!r} are damaged, or are not those of this model's codec.")

        async def make() -> VoiceTokens:
            tokens: VoiceTokens
            if voice.attributes and self._maker.prompts.self_voiced:  # its own: each speaker has another voice
                tokens = await self._maker.create(voice.attributes, text, prefix)
            elif voice.attributes:
                tokens = await self.created(voice.attributes)
            else:
                sample = await asyncio.to_thread(self._store.sample, voice.id)
                try:
                    heard = await self._reader.read(sample.recording.data)
                except InvalidRequest as error:  # the request that needs the tokens is not at fault
                    raise StoreFailed(f"The saved sample of {voice.name!r} cannot be used. {error}") from error
                tokens = ClonedVoiceTokens(*await self._codec.encode(heard.samples))
            return await _saved(tokens, partial(self._store.save_tokens, voice, self._model, tokens))

        return await self._once(voice.id, make)

    async def created(self, attributes: VoiceAttributes, text: str = VOICE_TEXT) -> CreatedVoiceTokens:
        """The tokens of a created voice, made at first use."""
        read = partial(self._store.created_tokens, self._model, attributes)

        async def create() -> CreatedVoiceTokens:
            """Create the voice, or wait until another process has created it. If that process dies, try again."""
            while True:
                async with _in_thread(self._store.creating(self._model, attributes)) as alone:
                    if saved := await asyncio.to_thread(read):
                        return saved
                    if alone:
                        tokens = await self._maker.create(attributes, text)
                        return await _saved(tokens, partial(self._store.save_created_tokens, self._model, tokens))
                await asyncio.sleep(WAIT_SECONDS)

        if saved := await asyncio.to_thread(read):
            return saved
        return await self._once(attributes, create)

    async def _once(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of `make`. Callers that ask for the same key at the same time share one result."""
        task = self._being_made.get(key)
        if task is None:
            task = self._being_made[key] = asyncio.create_task(make())

            def forget(done: asyncio.Task[Any]) -> None:
                del self._being_made[key]
                if not done.cancelled():
                    done.exception()  # asyncio logs it with its stack if nobody asks, and all callers may have gone

            task.add_done_callback(forget)
        result: Result = await asyncio.shield(task)  # one caller's cancellation does not stop it for the others
        return result


@asynccontextmanager
async def _in_thread(context: AbstractContextManager[Result]) -> AsyncGenerator[Result, None]:
    """Enter and leave a context that blocks, in a thread."""
    with ExitStack() as stack:
        entered = await asyncio.to_thread(stack.enter_context, context)
        try:
            yield entered
        finally:
            await asyncio.to_thread(stack.close)


async def _saved(tokens: Result, save: Callable[[], Result]) -> Result:
    """What `save` returns; `tokens` if they cannot be saved, as on a full disk: the next request makes them again."""
    try:
        return await asyncio.to_thread(save)
    except StoreFailed as error:
        logger.warning("The tokens of a voice are not saved: %s", error)
        return tokens
