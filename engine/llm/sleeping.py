"""A language model that can be unloaded, and that comes back with the next request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from engine.errors import BackendFailed, EngineClosed, EngineError
from engine.llm.base import LanguageModel
from engine.types import Prompt, Sampling


@runtime_checkable
class OwnSleep(Protocol):
    """A language model that can give its memory back without being closed."""

    async def sleep(self) -> bool:
        """Give the memory back; false if this model must be closed for that."""
        ...

    async def wake(self) -> None:
        """Take the memory again."""
        ...


class SleepingLanguageModel:
    """A LanguageModel around another one, which `load` loads again; `load` blocks."""

    def __init__(self, model: LanguageModel, load: Callable[[], LanguageModel]) -> None:
        self._context = model.context
        self._load = load
        self._model: LanguageModel | None = model
        self._suspended: LanguageModel | None = None
        self._running = 0
        self._changing: asyncio.Task[None] | None = None  # to asleep or awake
        self._closed = False

    @property
    def context(self) -> int:
        """See LanguageModel.context."""
        if self._model is not None:
            self._context = self._model.context
        return self._context

    @property
    def asleep(self) -> bool:
        """Whether the model is unloaded, or is being unloaded or loaded again."""
        return self._model is None

    @property
    def failure(self) -> str | None:
        """See LanguageModel.failure; an unloaded model has none."""
        return None if self._model is None else self._model.failure

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """See LanguageModel.generate. An unloaded model is loaded first."""
        self._running += 1
        try:
            model = await self._awake()
            async with aclosing(model.generate(prompt, sampling, due)) as answer:
                async for ids in answer:
                    yield ids
        finally:
            self._running -= 1

    async def sleep(self) -> bool:
        """Unload the model; false if requests run."""
        if self._running:
            return False
        if self._model is not None:
            model, self._model = self._model, None
            self._changing = asyncio.create_task(self._unload(model))
        if self._changing:
            await asyncio.shield(self._changing)
        return True

    async def wake(self) -> None:
        """Load the model again; raises EngineError if that fails, and EngineClosed after `close`."""
        await self._awake()

    async def close(self) -> None:
        """See LanguageModel.close."""
        self._closed = True
        if self._changing:
            await asyncio.gather(self._changing, return_exceptions=True)
        for model in (self._model, self._suspended):
            if model is not None:
                await model.close()

    async def _awake(self) -> LanguageModel:
        while self._model is None:
            if self._closed:
                raise EngineClosed
            if self._changing is None or self._changing.done():
                self._changing = asyncio.create_task(self._reload())
            await asyncio.shield(self._changing)  # one caller's cancellation does not stop it for the others
        return self._model

    async def _unload(self, model: LanguageModel) -> None:
        if isinstance(model, OwnSleep) and await model.sleep():
            self._suspended = model
        else:
            await model.close()

    async def _reload(self) -> None:
        try:
            if isinstance(self._suspended, OwnSleep):
                await self._suspended.wake()
                self._model, self._suspended = self._suspended, None
            else:
                self._model = await asyncio.to_thread(self._load)
        except EngineError:
            raise
        except Exception as error:
            raise BackendFailed(f"The language model could not be loaded again: {error}") from error
