"""Continuous batching of a model whose logits show its input."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest
import torch

from engine.errors import BackendFailed, EngineClosed, InvalidRequest
from engine.llm.base import Chunk
from engine.llm.scheduler import Scheduler
from engine.runtime.batching import Batcher
from engine.runtime.compute import run_on
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import Sampling
from tests.engine.llm.helpers import speech
from tests.waiting import NEVER, until

GREEDY = Sampling(temperature=0, max_tokens=20)


class CountingModelRunner:
    """Answers a prompt of n ids with the semantic tokens n, n + 1, n + 2 ..., and notes what it was asked for."""

    device = torch.device("cpu")
    chunk = 64
    budget = 300

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary, slots: int = 2, context: int = 1000) -> None:
        self.slots, self.context = slots, context
        self.batches: list[list[int]] = []
        self.passes: list[list[tuple[int, int, int]]] = []  # slot, start, length
        self.released: list[int] = []
        self.moved: list[tuple[int, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fail_decode_at: int | None = None
        self.fail_prefill_of: int | None = None
        self.fail_release_at: int | None = None
        self._grammar = grammar
        self._first_row = grammar.row(vocabulary.semantic.first)

    def logits(self, token: int) -> torch.Tensor:
        scores = torch.zeros(len(self._grammar.ids))
        scores[self._first_row + token % 512] = 1
        return scores

    @property
    def chunks(self) -> list[tuple[int, int, int]]:
        return [chunk for chunks in self.passes for chunk in chunks]

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        self.passes.append([(chunk.slot, chunk.start, len(chunk.ids)) for chunk in chunks])
        if self.fail_prefill_of in [len(chunk.ids) for chunk in chunks]:
            raise RuntimeError("no memory")
        return torch.stack([self.logits(chunk.start + len(chunk.ids)) for chunk in chunks])

    def decode(self, slots: Sequence[int], rows: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        self.gate.wait(NEVER)
        self.batches.append(list(slots))
        if len(self.batches) == self.fail_decode_at:
            raise RuntimeError("the device is gone")
        return torch.stack([self.logits(row - self._first_row + 1) for row in rows])

    def move(self, source: int, target: int) -> None:
        self.moved.append((source, target))

    def release(self, slot: int) -> None:
        self.released.append(slot)
        if len(self.released) == self.fail_release_at:
            raise RuntimeError("the cache is gone")


@pytest.fixture
def runner(vocabulary: Vocabulary) -> CountingModelRunner:
    return CountingModelRunner(Grammar(vocabulary), vocabulary)


@pytest.fixture
async def model(runner: CountingModelRunner, vocabulary: Vocabulary) -> AsyncGenerator[Scheduler, None]:
    scheduler = Scheduler(runner, Grammar(vocabulary))
    yield scheduler
    runner.gate.set()
    await scheduler.close()


async def tokens(model: Scheduler, vocabulary: Vocabulary, length: int, sampling: Sampling = GREEDY) -> list[int]:
    answer: list[int] = []
    async for ids in model.generate(speech(length), sampling):
        answer += [token - vocabulary.semantic.first for token in ids]
    return answer


async def settled(model: Scheduler) -> None:
    """Wait until the thread has nothing to do."""
    await until(lambda: model.load == (0, 0))


async def test_each_of_several_gets_its_own_answer(model: Scheduler, vocabulary: Vocabulary) -> None:
    answers = await asyncio.gather(*(tokens(model, vocabulary, length) for length in (10, 50, 200)))
    assert answers == [list(range(length, length + 20)) for length in (10, 50, 200)]


async def test_an_observer_hears_how_many_share_each_step(runner: CountingModelRunner, vocabulary: Vocabulary) -> None:
    heard: list[int] = []
    model = Scheduler(runner, Grammar(vocabulary), on_step=heard.append)
    await asyncio.gather(*(tokens(model, vocabulary, n) for n in (1, 2, 3)))
    await model.close()
    assert heard == [len(batch) for batch in runner.batches]
    assert sum(heard) == 3 * 19  # the first of each comes with the prompt


async def test_sequences_share_steps_and_join_and_leave_between_them(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    short = Sampling(temperature=0, max_tokens=5)
    runner.gate.clear()
    answers = [asyncio.create_task(tokens(model, vocabulary, n, short if n == 1 else GREEDY)) for n in (1, 2, 3)]
    await until(lambda: sum(model.load) == 3)
    runner.gate.set()
    await asyncio.gather(*answers)
    assert [0, 1] in runner.batches
    assert max(len(batch) for batch in runner.batches) == 2  # no more than there are slots
    assert len(runner.batches) < 3 * 20  # fewer steps than one after the other would take
    await settled(model)
    assert len(runner.released) == 3
    assert runner.moved[0] == (1, 0)  # the second moved to the slot of the short one, so that
    assert runner.batches[-1] == [0]  # no step is wider than the number of sequences


async def test_ids_come_while_the_answer_is_made(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    runner.gate.clear()  # no step after the prompt ends until the first id has been seen
    async with aclosing(model.generate(speech(3), GREEDY)) as answer:
        first = await anext(answer)
        assert first == [vocabulary.semantic.first + 3]
        runner.gate.set()
        rest = [token async for ids in answer for token in ids]
    assert len(rest) == 19


async def test_a_closed_request_is_not_stepped_any_more(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    endless = Sampling(temperature=0, max_tokens=900)
    async with aclosing(model.generate(speech(3), endless)) as answer:
        await anext(answer)
    await settled(model)
    steps = len(runner.batches)
    assert steps < 800
    assert runner.released == [0]
    assert await tokens(model, vocabulary, 7) == list(range(7, 27))
    assert len(runner.batches) == steps + 19  # those of the new request


async def test_a_request_that_is_cancelled_while_it_waits_is_never_begun(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    runner.gate.clear()
    running = [asyncio.create_task(tokens(model, vocabulary, length)) for length in (10, 11)]
    waiting = asyncio.create_task(tokens(model, vocabulary, 12))
    await until(lambda: sum(model.load) == 3)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    runner.gate.set()
    await asyncio.gather(*running)
    await settled(model)
    assert {length for _, _, length in runner.chunks} == {10, 11}


async def test_the_earliest_deadline_gets_the_next_slot(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    async def ask(length: int, due: float) -> None:
        async for _ in model.generate(speech(length), GREEDY, due):
            pass

    runner.gate.clear()
    requests = [asyncio.create_task(ask(1, 0)), asyncio.create_task(ask(2, 0))]
    await until(lambda: sum(model.load) == 2)
    requests += [asyncio.create_task(ask(*late)) for late in ((3, 30.0), (4, 20.0), (5, 10.0))]
    await until(lambda: sum(model.load) == 5)
    runner.gate.set()
    await asyncio.gather(*requests)
    assert [length for _, _, length in runner.chunks][2:] == [5, 4, 3]


async def test_prompts_that_begin_together_are_prefilled_together(
    runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    runner.slots = 5
    model = Scheduler(runner, Grammar(vocabulary))
    runner.gate.clear()
    first = asyncio.create_task(tokens(model, vocabulary, 3))
    await until(lambda: model.load == (1, 0))  # its first step waits, until the others have come
    others = [asyncio.create_task(tokens(model, vocabulary, n)) for n in (90, 91, 92, 93)]
    await until(lambda: sum(model.load) == 5)
    runner.gate.set()
    answers = await asyncio.gather(first, *others)
    await model.close()
    assert answers == [list(range(n, n + 20)) for n in (3, 90, 91, 92, 93)]
    assert [sum(size for _, _, size in chunks) for chunks in runner.passes] == [3, 90 + 91 + 92, 93]


async def test_a_long_prompt_is_prefilled_in_chunks_between_the_steps_of_others(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    length = 2 * CountingModelRunner.budget
    await asyncio.gather(
        tokens(model, vocabulary, 4, Sampling(temperature=0, max_tokens=300)), tokens(model, vocabulary, length)
    )
    chunks = [(start, size) for slot, start, size in runner.chunks if size != 4]
    assert chunks == [(0, 256), (256, 256), (512, 88)]


async def test_a_prompt_that_does_not_fit_is_refused(model: Scheduler, vocabulary: Vocabulary) -> None:
    with pytest.raises(InvalidRequest, match="1000 tokens; this model takes 999"):
        await tokens(model, vocabulary, 1000)
    assert len(await tokens(model, vocabulary, 995)) == 5  # an answer ends where the context does


async def test_a_failing_step_fails_its_sequences_and_no_others(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    runner.fail_decode_at = 3
    answers = await asyncio.gather(*(tokens(model, vocabulary, n) for n in (1, 2, 3)), return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, BackendFailed)]
    assert 1 <= len(failed) <= 2
    assert "the device is gone" in str(failed[0])
    assert isinstance(failed[0].__cause__, RuntimeError)
    assert answers[2] == list(range(3, 23))  # it waited for a slot, and the model went on
    await settled(model)


async def test_a_failing_prompt_harms_only_its_own_request(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    runner.fail_prefill_of = 13
    answers = await asyncio.gather(*(tokens(model, vocabulary, n) for n in (10, 13)), return_exceptions=True)
    assert answers[0] == list(range(10, 30))
    assert isinstance(answers[1], BackendFailed)


async def test_the_codec_and_the_model_take_turns_in_one_thread(
    runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    threads: set[str] = set()
    decode = runner.decode

    def noting(*arguments: list[int]) -> torch.Tensor:
        threads.add(threading.current_thread().name)
        return decode(*arguments)

    def double(items: list[int]) -> list[int]:
        threads.add(threading.current_thread().name)
        return [2 * item for item in items]

    runner.decode = noting  # type: ignore[assignment]
    with ThreadPoolExecutor(1, "cores") as cores:
        model, batcher = Scheduler(runner, Grammar(vocabulary), run_on(cores)), Batcher("codec", 100, run_on(cores))
        answers = await asyncio.gather(
            tokens(model, vocabulary, 3), *(batcher.run(double, n, 1, due=0) for n in range(5))
        )
        await model.close()
        await batcher.close()
    assert answers == [list(range(3, 23)), 0, 2, 4, 6, 8]
    assert threads == {"cores_0"}


async def test_a_failure_while_a_slot_is_freed_does_not_stop_the_model(
    model: Scheduler, runner: CountingModelRunner, vocabulary: Vocabulary
) -> None:
    runner.fail_release_at = 1
    short = Sampling(temperature=0, max_tokens=5)
    async with asyncio.timeout(120):
        await asyncio.gather(tokens(model, vocabulary, 1, short), tokens(model, vocabulary, 2), return_exceptions=True)
        assert await tokens(model, vocabulary, 7) == list(range(7, 27))


async def test_closing_ends_running_and_waiting_requests(runner: CountingModelRunner, vocabulary: Vocabulary) -> None:
    model = Scheduler(runner, Grammar(vocabulary))
    endless = Sampling(temperature=0, max_tokens=900)
    runner.gate.clear()
    requests = [asyncio.create_task(tokens(model, vocabulary, n, endless)) for n in (1, 2, 3)]
    await until(lambda: sum(model.load) == 3)
    closing = asyncio.create_task(model.close())
    await asyncio.sleep(0)  # it has begun
    runner.gate.set()
    await closing
    assert all(isinstance(e, EngineClosed) for e in await asyncio.gather(*requests, return_exceptions=True))
    with pytest.raises(EngineClosed):
        await tokens(model, vocabulary, 1)
