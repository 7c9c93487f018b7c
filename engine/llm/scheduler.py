"""Continuous batching: one thread that steps all sequences together, while they join and leave between steps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch

from engine.errors import BackendFailed, EngineClosed, EngineError, InvalidRequest
from engine.llm.base import ModelRunner
from engine.llm.sampling import random_numbers, sample
from engine.observer import nobody
from engine.runtime.compute import Compute, run_inline
from engine.tokens.grammar import ACCEPTED, Grammar
from engine.types import Prompt, Sampling


@dataclass(slots=True, eq=False)
class Sequence:
    """One request on its way through the model. Only the scheduler's thread changes it, but for `closed`."""

    prompt: Prompt
    sampling: Sampling
    loop: asyncio.AbstractEventLoop
    state: int  # of the grammar
    random: np.random.Generator
    remaining_tokens: int  # ids that it may still generate
    due: float  # when a listener needs the first of them
    slot: int = -1
    num_computed_tokens: int = 0  # ids of the prompt, then of the answer, whose keys and values the model holds
    last_row: int = -1  # generated, but not yet taken in
    closed: bool = False  # the listener has gone
    out: asyncio.Queue[int | EngineError | None] = field(default_factory=asyncio.Queue)

    @property
    def prefilling(self) -> bool:
        """Whether a part of the prompt is still to be taken in."""
        return self.num_computed_tokens < len(self.prompt.ids)

    def deliver(self, item: int | EngineError | None) -> None:
        """Hand an id, an error or the end (None) to the listener's event loop."""
        try:
            self.loop.call_soon_threadsafe(self.out.put_nowait, item)
        except RuntimeError:  # the loop was closed: nobody listens
            self.closed = True


class Scheduler:
    """Makes a ModelRunner a LanguageModel."""

    def __init__(
        self,
        runner: ModelRunner,
        grammar: Grammar,
        compute: Compute = run_inline,
        on_step: Callable[[int], None] = nobody,
    ) -> None:
        """Start the thread; `compute` says where it steps, `on_step` is `Observer.step`."""
        self._on_step = on_step
        self._compute = compute
        self._runner = runner
        self._grammar = grammar
        self._allowed = torch.from_numpy(grammar.allowed).to(runner.device)  # (states, rows)
        self._seen = torch.zeros(runner.slots, len(grammar.ids), dtype=torch.bool, device=runner.device)
        self._waiting: list[Sequence] = []
        self._active: list[Sequence] = []
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="language-model", daemon=True)
        self._thread.start()

    @property
    def context(self) -> int:
        """How many ids a prompt and its answer may have together."""
        return self._runner.context

    @property
    def failure(self) -> str | None:
        """See LanguageModel.failure: a step that fails harms those in it, and the next may not."""
        return None

    @property
    def load(self) -> tuple[int, int]:
        """How many sequences run, and how many wait."""
        return len(self._active), len(self._waiting)

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """See LanguageModel.generate."""
        room = self.context - len(prompt.ids)
        if room < 1:
            raise InvalidRequest(f"The prompt has {len(prompt.ids)} tokens; this model takes {self.context - 1}.")
        sequence = Sequence(
            prompt,
            sampling,
            asyncio.get_running_loop(),
            self._grammar.start(prompt.answer),
            random_numbers(sampling.seed),
            min(sampling.max_tokens, room),
            due,
        )
        with self._changed:
            if self._stopping:
                raise EngineClosed("The language model has been closed.")
            self._waiting.append(sequence)
            self._changed.notify()
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
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._active or self._waiting)
                if self._stopping:
                    for sequence in (*self._active, *self._waiting):
                        sequence.deliver(EngineClosed("The language model has been closed."))
                    return
                self._admit()
            try:
                self._compute(self._step)
            except Exception as error:
                self._fail_all(error)

    def _step(self) -> None:
        """One token for each that runs, then a chunk of the prompt of whoever joins and is due first."""
        for sequence in [s for s in self._active if s.closed]:
            self._finish(sequence)
        self._decode([s for s in self._active if not s.prefilling])
        if joining := [s for s in self._active if s.prefilling]:
            self._prefill(min(joining, key=lambda s: s.due))

    def _admit(self) -> None:
        """Give waiting sequences the places behind those that are taken."""
        self._waiting = sorted((s for s in self._waiting if not s.closed), key=lambda s: s.due)
        while self._waiting and len(self._active) < self._runner.slots:
            sequence = self._waiting.pop(0)
            sequence.slot = len(self._active)
            self._seen[sequence.slot] = False
            self._active.append(sequence)

    def _prefill(self, sequence: Sequence) -> None:
        chunk = sequence.prompt.ids[sequence.num_computed_tokens : sequence.num_computed_tokens + self._runner.chunk]
        try:
            logits = self._runner.prefill(sequence.slot, chunk, sequence.num_computed_tokens)
            sequence.num_computed_tokens += len(chunk)
            if not sequence.prefilling:
                self._sample([sequence], logits[None])
        except Exception as error:
            self._fail([sequence], error)

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
        """Draw the next token of each sequence, and deliver it."""
        slots = [s.slot for s in sequences]
        rows = sample(
            logits,
            self._allowed[[s.state for s in sequences]],
            [s.sampling for s in sequences],
            [s.random.random() for s in sequences],
            self._seen[slots],
        )
        self._seen[slots, rows] = True
        for sequence, row in zip(sequences, rows, strict=True):
            sequence.last_row = row
            sequence.state = self._grammar.advance(sequence.state, row)
            if sequence.state != ACCEPTED:
                sequence.deliver(int(self._grammar.ids[row]))
                sequence.remaining_tokens -= 1
            if sequence.state == ACCEPTED or sequence.remaining_tokens == 0:
                sequence.deliver(None)
                self._finish(sequence)

    def _fail(self, sequences: list[Sequence], error: Exception) -> None:
        for sequence in [s for s in sequences if s in self._active]:  # some may have ended before the error
            sequence.deliver(_failure(error))
            self._finish(sequence)

    def _fail_all(self, error: Exception) -> None:
        """Start afresh after a failure that may have left the places in disorder."""
        sequences, self._active = self._active, []
        for sequence in sequences:
            sequence.deliver(_failure(error))
        for slot in range(self._runner.slots):
            with suppress(Exception):
                self._runner.release(slot)

    def _finish(self, sequence: Sequence) -> None:
        """Free the place; the last one moves there, so that places are taken without a gap and a step is narrow."""
        last = max(self._active, key=lambda s: s.slot)
        self._active.remove(sequence)
        self._runner.release(sequence.slot)
        if last is not sequence:
            self._runner.move(last.slot, sequence.slot)
            self._seen[sequence.slot] = self._seen[last.slot]
            last.slot = sequence.slot


def _failure(error: Exception) -> BackendFailed:
    failure = BackendFailed(f"The language model failed: {error}")
    failure.__cause__ = error
    return failure
