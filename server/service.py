"""The engine's lifecycle in the server: it is loaded and warmed up while the port is open, and closed at shutdown."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from engine import EngineError, Language, Observer, SpeechEngine
from server.admission import Admission, Deadline
from server.errors import Busy, NotReady, UnknownModel
from server.metrics import Metrics
from server.rate_limits import KeyLimits
from server.schemas import OPENAI_MODELS
from server.settings import Settings

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

SESSION_SECONDS = 3600  # of a request whose text grows, for limits that processes share
ENCODER_THREADS = min(8, os.cpu_count() or 1)  # a second of MP3 takes one of them 5 to 12 ms


class Service:
    """What the routes need: the settings, admission, metrics, and the engine once it is warm.

    `load` returns an engine that reports its work to the observer; it can block. `on_change` is called when the engine
    is ready, when it has failed to start, and when it has died.
    """

    def __init__(
        self, settings: Settings, load: Callable[[Observer], SpeechEngine], on_change: Callable[[Service], None]
    ) -> None:
        self.settings = settings
        self.failure: str | None = None
        self.started_at = int(time.time())  # Unix seconds
        self.admission = Admission(
            settings.max_requests, settings.max_waiting, settings.deadline_seconds, settings.deadline_factor
        )
        self._limits = KeyLimits(
            settings.requests_per_key,
            settings.characters_per_minute,
            self.admission.retry_after,
            redis=settings.limits_storage,
        )
        self.metrics = Metrics(lambda: (self.admission.running, self.admission.waiting))
        self.encoders = ThreadPoolExecutor(ENCODER_THREADS, "encoder")
        self._load = load
        self._on_change = on_change
        self._engine: SpeechEngine | None = None
        self._draining = False
        self.turns = 0  # of sessions, that are unfinished
        self._used_at = 0.0  # the event loop's time when the last request ended
        self._falling_asleep: asyncio.Task[None] | None = None
        self._state = "The model is being loaded."

    @property
    def engine(self) -> SpeechEngine:
        """The engine, for a new request; raises NotReady with the reason if it cannot answer."""
        if self._draining:
            raise NotReady("The server is shutting down.")
        if self._engine is None or self.failure:
            raise NotReady(self.failure or self._state)
        return self._engine

    @property
    def languages(self) -> list[Language] | None:
        """The languages that the model speaks; None until it is loaded."""
        return None if self._engine is None else list(self._engine.languages)

    async def start(self) -> None:
        """Load the engine and warm it up, then call `on_change`. A failure is stored for /health/ready, not raised."""
        try:
            engine = await asyncio.to_thread(self._load, replace(self.metrics.observer, death=self._die))
            self._state = "The model is being warmed up."
            await engine.warm_up()
            self._engine = engine
            if (seconds := self.settings.engine.unload_after_seconds) is not None:
                self._falling_asleep = asyncio.create_task(self._sleep_after(engine, seconds))
        except (EngineError, OSError) as error:
            self.failure = str(error)
        except Exception as error:
            logger.exception("The engine could not be started")
            self.failure = f"The engine could not be started: {error}"
        self._on_change(self)

    def _die(self, reason: str) -> None:
        """Refuse all further requests: the engine has failed permanently."""
        self.failure = reason
        self._on_change(self)

    def admit(
        self,
        caller: str,
        items: AsyncGenerator[Item, None],
        characters: int = 0,
        speech: float = 0,
        deadline: Deadline | None = None,
    ) -> AsyncGenerator[Item, None]:
        """Yield `items` once there is a slot, within the caller's limits; raises Overloaded or LimitReached.

        `characters` counts for the caller's limit. `speech` is the expected seconds of speech, for the deadline, if
        none is given.
        """
        admitted = self._used(self.admission.stream(items, speech, deadline))
        seconds = self.admission.seconds(speech) if deadline is None else SESSION_SECONDS
        return self._limits.stream(caller, characters, admitted, seconds)

    async def charge(self, caller: str, characters: int) -> None:
        """Count more characters of a running request for the caller's limit; raises LimitReached."""
        await self._limits.charge(caller, characters)

    async def _used(self, items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
        """Yield `items`, and note when they ended."""
        try:
            async with aclosing(items):
                async for item in items:
                    yield item
        finally:
            self._used_at = asyncio.get_running_loop().time()

    async def sleep(self) -> None:
        """Unload the models; raises Busy if requests run or wait."""
        if not (self.idle and await self.engine.sleep()):
            raise Busy

    async def _sleep_after(self, engine: SpeechEngine, seconds: float) -> None:
        """Unload the models whenever no request has run for this many seconds."""
        clock = asyncio.get_running_loop().time
        self._used_at = clock()
        while True:
            await asyncio.sleep(max(self._used_at + seconds - clock(), min(1, seconds)))
            if self.idle and clock() >= self._used_at + seconds and not engine.asleep:
                await engine.sleep()

    async def run(self, caller: str, work: Callable[[], Awaitable[Item]]) -> Item:
        """Return the result of `work`, which needs a slot as a speech request does."""

        async def once() -> AsyncGenerator[Item, None]:
            yield await work()

        async with aclosing(self.admit(caller, once())) as results:
            return await anext(results)

    @property
    def idle(self) -> bool:
        """Whether no request runs and none waits, and no turn of a session is unfinished."""
        return not self.admission.running and not self.admission.waiting and not self.turns

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Count a turn of a session, until its audio was sent: at shutdown uvicorn does not wait for WebSockets."""
        self.turns += 1
        try:
            yield
        finally:
            self.turns -= 1

    def summary(self) -> str:
        """The server's state in one line, for the log."""
        running = f"{self.admission.running} requests run, {self.admission.waiting} wait"
        return running if self._engine is not None else f"{running}, and the model is not ready yet"

    def drain(self) -> None:
        """Refuse new requests. Requests that run or wait continue."""
        self._draining = True

    async def stop(self) -> None:
        """Refuse new requests, and close the engine."""
        self.drain()
        if self._falling_asleep:
            self._falling_asleep.cancel()
        if self._engine is not None:
            await self._engine.close()
        await asyncio.to_thread(self.encoders.shutdown)

    def check_model(self, model: str) -> None:
        """Raise UnknownModel unless this name selects the served model."""
        settings = self.settings
        names = settings.model_name, settings.engine.model, settings.engine.language_model
        if model not in names and not OPENAI_MODELS.fullmatch(model):
            raise UnknownModel(model, self.settings.model_name)


async def service_of(request: HTTPConnection) -> Service:
    """The app's service, for routes."""
    service: Service = request.app.state.service
    return service


async def engine_of(service: Annotated[Service, Depends(service_of)]) -> SpeechEngine:
    """The app's engine, for routes; raises NotReady."""
    return service.engine


ServiceDependency = Annotated[Service, Depends(service_of)]
EngineDependency = Annotated[SpeechEngine, Depends(engine_of)]
