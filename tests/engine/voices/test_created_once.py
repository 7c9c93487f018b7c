"""Of several engines on one database, one creates a voice, and the others wait for it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.speech import SpeechEngine
from engine.tokens.vocabulary import Vocabulary
from engine.voices.database import Database
from tests.engine.fakes import FakeLanguageModel, fake_engine
from tests.postgres import Postgres
from tests.waiting import until


@dataclass
class Replica:
    model: FakeLanguageModel
    engine: SpeechEngine


@pytest.fixture
async def replicas(postgres: Postgres, vocabulary: Vocabulary, tmp_path: Path) -> AsyncIterator[list[Replica]]:
    url = postgres.new_database()
    models = [FakeLanguageModel(vocabulary) for _ in range(3)]
    engines = [
        fake_engine(vocabulary, tmp_path, language_model=model, database=await asyncio.to_thread(Database, url))
        for model in models
    ]
    yield [Replica(*parts) for parts in zip(models, engines, strict=True)]
    for engine in engines:
        await engine.close()


async def test_a_voice_is_created_by_one_of_several_engines(replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.model.gate.clear()
    asked = [asyncio.create_task(replica.engine.voices.tokens("nova")) for replica in replicas]
    await until(lambda: any(replica.model.running for replica in replicas))
    for replica in replicas:
        replica.model.gate.set()
    first, *others = [await task for task in asked]
    assert sum(len(replica.model.prompts) for replica in replicas) == 1
    assert all(np.array_equal(first.global_tokens, tokens.global_tokens) for tokens in others)


async def test_many_voices_at_once_do_not_wait_for_each_others_connections(replicas: list[Replica]) -> None:
    names = ["alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "verse"]
    await asyncio.gather(*(replica.engine.voices.tokens(name) for replica in replicas for name in names))
    assert sum(len(replica.model.prompts) for replica in replicas) == len(names)


async def test_another_engine_creates_a_voice_whose_creator_is_gone(
    replicas: list[Replica], postgres: Postgres
) -> None:
    dying, living, _ = replicas
    dying.model.gate.clear()
    lost = asyncio.create_task(dying.engine.voices.tokens("nova"))
    await until(lambda: dying.model.running == 1)
    waiting = asyncio.create_task(living.engine.voices.tokens("nova"))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    await asyncio.to_thread(postgres.execute, cut)  # as when the process is killed
    created = await waiting
    assert len(living.model.prompts) == 1
    dying.model.gate.set()
    assert np.array_equal((await lost).global_tokens, created.global_tokens)  # it was only cut off: no failure
