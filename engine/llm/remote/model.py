"""A language model in other servers: an answer is drawn in stretches, and the grammar is followed here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from engine.config import RemoteConfig
from engine.errors import BackendFailed, EngineClosed, InvalidRequest
from engine.llm.remote.dialects import DIALECTS, CompletionRequest, TokenChunk
from engine.llm.remote.servers import Servers
from engine.llm.remote.slots import PrioritySlots
from engine.tokens.grammar import ACCEPTED, Grammar
from engine.types import Prompt, Sampling

CLOSED = "The language model has been closed."
LEAST_TOP_P = 1e-6  # takes the likeliest id alone; a server reads less than float32 has as 0, which means anything


class RemoteModel:
    """A LanguageModel whose steps are taken elsewhere. Belongs to one event loop.

    A server can be told which ids to draw from, but not by what automaton. So it is asked for as many ids as may
    come from one set of them, then for the next span, with the prompt and all so far. Where only one id may
    come, nobody is asked. Speech is one span. An id that may not come where it came is thrown away with all
    behind it, and the server is asked for another in its place, from exactly those that may.
    """

    def __init__(
        self, config: RemoteConfig, grammar: Grammar, ends: tuple[int, ...], *, running: int, context: int
    ) -> None:
        """Nothing is asked of the servers yet.

        Args:
            config: where they are, and whose.
            grammar: of the vocabulary that they serve.
            ends: the ids that end an answer.
            running: answers at once, on all servers together; others wait here, where it is known who is due first.
            context: how many ids a prompt and its answer may have together.

        """
        self.context = context
        self._grammar, self._ends = grammar, ends
        self._servers = Servers(config, DIALECTS[config.kind])
        self._slots = PrioritySlots(running)
        self._ids = cache(self._choices)
        self._closed = False

    @property
    def failure(self) -> str | None:
        """See LanguageModel.failure."""
        return self._servers.failure

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """See LanguageModel.generate."""
        room = self.context - len(prompt.ids)
        if room < 1:
            raise InvalidRequest(f"The prompt has {len(prompt.ids)} tokens; this model takes {self.context - 1}.")
        temperature = 0 if sampling.greedy else sampling.temperature
        sampling = replace(sampling, temperature=temperature, top_p=max(sampling.top_p, LEAST_TOP_P))
        try:
            async with self._slots.take(due):
                if self._closed:
                    raise EngineClosed(CLOSED)
                async with aclosing(self._answer(prompt, sampling, min(sampling.max_tokens, room))) as answer:
                    async for ids in answer:
                        yield ids
        except BackendFailed as error:
            raise EngineClosed(CLOSED) if self._closed else error from error.__cause__

    async def close(self) -> None:
        """End the requests that still run, and close all connections."""
        self._closed = True
        await self._servers.close()

    async def _answer(self, prompt: Prompt, sampling: Sampling, most: int) -> AsyncGenerator[list[int], None]:
        """At most so many ids, span by span."""
        ids, state, draws, strict = list(prompt.ids), self._grammar.start(prompt.answer), 0, False
        while state != ACCEPTED and most:
            allowed, forbidden, count = self._ids(state, strict)
            if len(allowed) == 1:
                state = self._grammar.advance(state, self._grammar.row(allowed[0]))
                ids, most = [*ids, allowed[0]], most - 1
                yield [allowed[0]]
                continue
            seed, draws = _seed(sampling.seed, draws), draws + 1
            wanted = min(most, count or most)
            request = CompletionRequest(tuple(ids), allowed, forbidden, self._ends, wanted, sampling, seed, strict)
            drawn, invalid = 0, False
            async with aclosing(self._servers.stream(request)) as chunks:
                async for chunk in chunks:
                    new, state, invalid = self._follow(state, chunk)
                    if new:
                        ids, drawn = ids + new, drawn + len(new)
                        yield new
                    if invalid or (state == ACCEPTED and not chunk.stopped):
                        break
            if state != ACCEPTED and drawn < wanted and not invalid:
                raise BackendFailed(
                    f"The language model's server stopped after {drawn} of {wanted} tokens: is its context as large as "
                    f"`max_context`, {self.context}?"
                )
            if invalid and strict:
                raise BackendFailed("The language model's server draws other ids than it was told; is it of this kind?")
            most, strict = most - drawn, invalid

    def _follow(self, state: int, chunk: TokenChunk) -> tuple[list[int], int, bool]:
        """The ids up to the end or to one that may not come, the state after them, and whether there is such a one."""
        tokens = chunk.ids
        if chunk.stopped and not (tokens and tokens[-1] in self._ends):
            tokens = [*tokens, self._ends[0]]  # a server may keep it to itself
        accepted: list[int] = []
        for token in tokens:
            try:
                state = self._grammar.advance(state, self._grammar.row(token))
            except (KeyError, ValueError):
                return accepted, state, True
            if state == ACCEPTED:
                break
            accepted.append(token)
        return accepted, state, False

    def _choices(self, state: int, strict: bool) -> tuple[tuple[int, ...], tuple[int, ...], int | None]:
        """The ids that may come from this state on for a while, the others, and for how many (None: any number)."""
        rows, count = (self._grammar.allowed[state], 1) if strict else uniform_span(self._grammar, state)
        return tuple(self._grammar.ids[rows].tolist()), tuple(self._grammar.ids[~rows].tolist()), count


def uniform_span(grammar: Grammar, state: int) -> tuple[npt.NDArray[np.bool_], int | None]:
    """The rows that an answer may be drawn from for a while, shape (rows,), and for how many ids (None: any number).

    The rows are all that may come in that while. Some of them, such as the end of speech that has not begun, may not
    come at once: `Grammar.advance` tells.
    """
    allowed, count = grammar.allowed[state], 1
    while True:
        successors = {grammar.advance(state, row) for row in np.flatnonzero(grammar.allowed[state]).tolist()}
        successors.discard(ACCEPTED)
        if len(successors) != 1:
            return allowed, count
        (successor,) = successors
        if successor == state:
            return allowed, None
        if (allowed & ~grammar.allowed[successor]).any():
            return allowed, count
        state, allowed, count = successor, grammar.allowed[successor], count + 1


def _seed(seed: int | None, draw: int) -> int | None:
    """Of the n-th request of an answer: 31 bits."""
    return None if seed is None else int(np.random.SeedSequence([seed, draw]).generate_state(1)[0]) >> 1
