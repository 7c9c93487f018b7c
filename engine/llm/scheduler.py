"""Continuous batching: one thread steps all sequences together; sequences join and leave between the steps."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch

from engine.errors import BackendFailed, EngineClosed, EngineError
from engine.llm.base import Chunk, ModelRunner, max_answer_tokens
from engine.llm.sampling import Sampler, random_numbers
from engine.observer import ignore
from engine.runtime.compute import Compute, run_inline
from engine.runtime.worker_thread import WorkerThread
from engine.tokens.grammar import ACCEPTED, Grammar
from engine.types import Prompt, Sampling

Item = int | EngineError | None
"""What a listener gets: an id, an error, or the end."""


@dataclass(slots=True, eq=False)
class Sequence:
    """One request on its way through the model. Only the scheduler's thread changes it, except for `closed`."""

    prompt: Prompt
    sampling: Sampling
    loop: asyncio.AbstractEventLoop
    state: int  # of the grammar's automaton
    random: np.random.Generator
    remaining_tokens: int  # ids that it may still generate
    due: float  # its deadline: when a listener needs the first id
    slot: int = -1
    num_computed_tokens: int = 0  # ids of the prompt, then of the answer, whose keys and values the model holds
    last_row: int = -1  # the last generated row, the input of the next step
    closed: bool = False  # nobody listens any more
    out: asyncio.Queue[Item] = field(default_factory=asyncio.Queue)

    @property
    def prefilling(self) -> bool:
        """Whether a part of the prompt has not been computed yet."""
        return self.num_computed_tokens < len(self.prompt.ids)


class Scheduler:
    """A LanguageModel on top of a ModelRunner."""

    def __init__(
        self,
        runner: ModelRunner,
        grammar: Grammar,
        compute: Compute = run_inline,
        on_step: Callable[[int], None] = ignore,
    ) -> None:
        """Start the thread. `compute` says where the steps run; `on_step` is `Observer.step`."""
        self._on_step = on_step
        self._compute = compute
        self._runner = runner
        self._grammar = grammar
        self._sampler = Sampler(grammar.allowed, runner.slots, runner.device)
        self._waiting: list[Sequence] = []
        self._active: list[Sequence] = []
        self._thread = WorkerThread(
            "language-model",
            has_work=lambda: self._active or self._waiting,
            work=self._work,
            abandon=self._abandon,
        )

    @property
    def context(self) -> int:
        """See LanguageModel.context."""
        return self._runner.context

    @property
    def failure(self) -> str | None:
        """See LanguageModel.failure: always None, since after a failed step the next one can succeed."""
        return None

    @property
    def load(self) -> tuple[int, int]:
        """How many sequences run, and how many wait."""
        return len(self._active), len(self._waiting)

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """See LanguageModel.generate."""
        sequence = Sequence(
            prompt,
            sampling,
            asyncio.get_running_loop(),
            self._grammar.start(prompt.answer),
            random_numbers(sampling.seed),
            max_answer_tokens(prompt, sampling, self.context),
            due,
        )
        with self._thread.submitting():
            self._waiting.append(sequence)
        try:
            while True:
                items = [await sequence.out.get()]
                while not sequence.out.empty():
                    items.append(sequence.out.get_nowait())
                if ids := [item for item in items if isinstance(item, int)]:
                    yield ids
                if isinstance(items[-1], EngineError):
                    raise items[-1]
                if items[-1] is None:
                    return
        finally:
            sequence.closed = True

    async def close(self) -> None:
        """Stop the thread after its current step; listeners get EngineClosed."""
        await self._thread.close()

    def _abandon(self) -> None:
        _deliver((sequence, EngineClosed()) for sequence in (*self._active, *self._waiting))

    def _work(self) -> None:
        with self._thread.lock:
            self._admit()
        try:
            self._compute(self._step)
        except Exception as error:
            self._fail_all(error)

    def _step(self) -> None:
        """One decode step of all running sequences, then one pass of prompts, those that are due first."""
        for sequence in [s for s in self._active if s.closed]:
            self._finish(sequence)
        self._decode([s for s in self._active if not s.prefilling])
        self._prefill(self._next_chunks())

    def _admit(self) -> None:
        """Give the free slots to waiting sequences, earliest deadline first. The slots in use have no gaps."""
        self._waiting = sorted((s for s in self._waiting if not s.closed), key=lambda s: s.due)
        while self._waiting and len(self._active) < self._runner.slots:
            sequence = self._waiting.pop(0)
            sequence.slot = len(self._active)
            self._sampler.clear(sequence.slot)
            self._active.append(sequence)

    def _next_chunks(self) -> list[tuple[Sequence, Chunk]]:
        """What the next pass of prompts computes, earliest deadline first; a prompt is divided where `chunk` says."""
        room, chunks = self._runner.budget, []
        for sequence in sorted((s for s in self._active if s.prefilling), key=lambda s: s.due):
            start, ids = sequence.num_computed_tokens, sequence.prompt.ids
            size = len(ids) - start
            if size > room:
                size = room - room % self._runner.chunk
            if size:
                chunks.append((sequence, Chunk(sequence.slot, ids[start : start + size], start)))
                room -= size
        return chunks

    def _prefill(self, chunks: list[tuple[Sequence, Chunk]]) -> None:
        if not chunks:
            return
        try:
            logits = self._runner.prefill([chunk for _, chunk in chunks])
        except Exception as error:
            if len(chunks) == 1:
                self._fail([chunks[0][0]], error)
            for one in chunks if len(chunks) > 1 else ():  # it may be the fault of one of them
                self._prefill([one])
            return
        for sequence, chunk in chunks:
            sequence.num_computed_tokens += len(chunk.ids)
        ready = [index for index, (sequence, _) in enumerate(chunks) if not sequence.prefilling]
        if ready:
            sequences = [chunks[index][0] for index in ready]
            try:
                self._sample(sequences, logits if len(ready) == len(chunks) else logits[ready])
            except Exception as error:
                self._fail(sequences, error)

    def _decode(self, running: list[Sequence]) -> None:
        if not running:
            return
        try:
            logits = self._runner.decode(
                [s.slot for s in running], [s.last_row for s in running], [s.num_computed_tokens for s in running]
            )
            self._on_step(len(running))
            for sequence in running:
                sequence.num_computed_tokens += 1
            self._sample(running, logits)
        except Exception as error:
            self._fail(running, error)

    def _sample(self, sequences: list[Sequence], logits: torch.Tensor) -> None:
        """Sample the next token of each sequence, and deliver it."""
        rows = self._sampler(
            logits,
            [s.slot for s in sequences],
            [s.state for s in sequences],
            [s.sampling for s in sequences],
            [s.random.random() for s in sequences],
        )
        items: list[tuple[Sequence, Item]] = []
        for sequence, row in zip(sequences, rows, strict=True):
            sequence.last_row = row
            sequence.state = self._grammar.advance(sequence.state, row)
            if sequence.state != ACCEPTED:
                items.append((sequence, int(self._grammar.ids[row])))
                sequence.remaining_tokens -= 1
            if sequence.state == ACCEPTED or sequence.remaining_tokens == 0:
                items.append((sequence, None))
        _deliver(items)
        for sequence in [sequence for sequence, item in items if item is None]:
            self._finish(sequence)

    def _fail(self, sequences: list[Sequence], error: Exception) -> None:
        own = [s for s in sequences if s in self._active]  # some may have finished before the error
        _deliver((sequence, _failure(error)) for sequence in own)
        for sequence in own:
            self._finish(sequence)

    def _fail_all(self, error: Exception) -> None:
        """Empty all slots after a failure that may have left them inconsistent."""
        sequences, self._active = self._active, []
        _deliver((sequence, _failure(error)) for sequence in sequences)
        for slot in range(self._runner.slots):
            with suppress(Exception):
                self._runner.release(slot)

    def _finish(self, sequence: Sequence) -> None:
        """Free the sequence's slot, and move the last slot's sequence there: a step is narrow if slots have no gaps."""
        last = max(self._active, key=lambda s: s.slot)
        self._active.remove(sequence)
        self._runner.release(sequence.slot)
        if last is not sequence:
            self._runner.move(last.slot, sequence.slot)
            self._sampler.move(last.slot, sequence.slot)
            last.slot = sequence.slot


def _failure(error: Exception) -> BackendFailed:
    failure = BackendFailed(f"The language model failed: {error}")
    failure.__cause__ = error
    return failure


def _deliver(items: Iterable[tuple[Sequence, Item]]) -> None:
    """Hand items to their listeners: in one call of each event loop, since a call wakes it."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[Sequence, Item]]] = defaultdict(list)
    for sequence, item in items:
        by_loop[sequence.loop].append((sequence, item))
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_put, own)
        except RuntimeError:  # the event loop is closed
            for sequence, _ in own:
                sequence.closed = True


def _put(items: Iterable[tuple[Sequence, Item]]) -> None:
    for sequence, item in items:
        sequence.out.put_nowait(item)
