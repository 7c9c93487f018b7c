"""Servers of the fake kind, and the models that speak to them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from engine.config import RemoteConfig, RemoteKind
from engine.llm.remote.model import RemoteModel
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from tests.engine.llm.remote.fake_server import FakeServer, served

PATIENT = {"connect_seconds": 600, "token_seconds": 600}  # a test that is about these limits sets them


class Remote:
    """Makes servers and models, and closes them at the end."""

    def __init__(self, vocabulary: Vocabulary, stack: AsyncExitStack) -> None:
        self.vocabulary, self.grammar = vocabulary, Grammar(vocabulary)
        self._stack = stack

    async def server(self, kind: RemoteKind = "vllm", *, incremental: bool = False) -> FakeServer:
        server = FakeServer(kind, self.vocabulary, incremental=incremental)
        server.url = await self._stack.enter_async_context(served(server.app))
        self._stack.callback(server.speak.set)
        return server

    def model(
        self, *urls: str, kind: RemoteKind = "vllm", running: int = 8, context: int = 4096, **settings: Any
    ) -> RemoteModel:
        config = RemoteConfig.model_validate({"urls": urls, "kind": kind} | PATIENT | settings)
        model = RemoteModel(config, self.grammar, self.vocabulary.ends, running=running, context=context)
        self._stack.push_async_callback(model.close)
        return model


@pytest.fixture
async def remote(vocabulary: Vocabulary) -> AsyncGenerator[Remote, None]:
    async with AsyncExitStack() as stack:
        yield Remote(vocabulary, stack)
