"""A language model that is unloaded and comes back."""

import asyncio

import pytest

from engine.errors import BackendFailed, EngineClosed
from engine.llm.sleeping import SleepingLanguageModel
from engine.tokens.vocabulary import Vocabulary
from engine.types import Sampling
from tests.engine.fakes import FakeLanguageModel
from tests.engine.llm.helpers import generate, prompts
from tests.waiting import until

SHORT = Sampling(max_tokens=3)


class Models:
    """A model that is loaded again as another object."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.loaded = [FakeLanguageModel(vocabulary)]
        self.fail = False
        self.model = SleepingLanguageModel(self.loaded[0], self.load)

    def load(self) -> FakeLanguageModel:
        if self.fail:
            raise OSError("the disk is gone")
        self.loaded.append(FakeLanguageModel(self.vocabulary))
        return self.loaded[-1]

    async def speak(self) -> int:
        return len(await generate(self.model, prompts(self.vocabulary)[0], SHORT))


@pytest.fixture
def models(vocabulary: Vocabulary) -> Models:
    return Models(vocabulary)


async def test_the_next_request_loads_it_again_once_for_all_that_wait(models: Models) -> None:
    assert await models.speak() == 3
    assert await models.model.sleep()
    assert models.model.asleep
    assert models.loaded[0].closed
    assert await asyncio.gather(*(models.speak() for _ in range(4))) == [3] * 4
    assert len(models.loaded) == 2
    assert not models.model.asleep


async def test_it_does_not_sleep_while_it_generates(models: Models) -> None:
    models.loaded[0].gate.clear()
    speaking = asyncio.create_task(models.speak())
    await until(lambda: models.loaded[0].running == 1)
    assert not await models.model.sleep()
    models.loaded[0].gate.set()
    assert await speaking == 3


async def test_a_failed_load_is_told_and_tried_again(models: Models) -> None:
    await models.model.sleep()
    models.fail = True
    with pytest.raises(BackendFailed, match="could not be loaded again: the disk is gone"):
        await models.speak()
    models.fail = False
    assert await models.speak() == 3


async def test_a_closed_model_does_not_come_back(models: Models) -> None:
    await models.model.sleep()
    await models.model.close()
    with pytest.raises(EngineClosed):
        await models.speak()
    assert len(models.loaded) == 1


class OwnSleeper(FakeLanguageModel):
    """A model that gives its memory back by itself, as vLLM on a GPU."""

    asleep = False

    async def sleep(self) -> bool:
        self.asleep = True
        return True

    async def wake(self) -> None:
        self.asleep = False


async def test_a_model_with_a_sleep_of_its_own_is_not_closed(vocabulary: Vocabulary) -> None:
    inner = OwnSleeper(vocabulary)
    model = SleepingLanguageModel(inner, lambda: pytest.fail("it is not loaded again"))
    assert await model.sleep()
    assert inner.asleep
    assert len(await generate(model, prompts(vocabulary)[0], SHORT)) == 3
    assert not inner.asleep
    await model.sleep()
    await model.close()
    assert inner.closed
