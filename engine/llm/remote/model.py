"""A language model in other servers. An answer is sampled in spans of ids; this process applies the grammar."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from engine.config import RemoteConfig
from engine.errors import BackendFailed, EngineClosed
from engine.llm.base import max_answer_tokens
from engine.llm.remote.dialects import DIALECTS, CompletionRequest, TokenChunk
from engine.llm.remote.servers import Servers
from engine.llm.remote.slots import PrioritySlots
from engine.tokens.grammar import ACCEPTED, Grammar
from engine.types import Prompt, Sampling

LEAST_TOP_P = 1e-6  # takes the likeliest id alone; a server reads less than float32 has as 0, which means anything


class RemoteModel:
    """A LanguageModel that runs in other servers. Belongs to one event loop.

    A server accepts a list of allowed ids, but not an automaton. So each request asks for one span: as many ids as
    share a list of allowed ids. The next request repeats the prompt and all ids so far. Speech is one span. If
    the grammar allows only one id, no request is made. An id that the grammar does not allow at its position is
    discarded together with all after it; the next request asks for one id, from exactly those that are allowed.
    """

    def __init__(
        self, config: RemoteConfig, grammar: Grammar, ends: tuple[int, ...], *, running: int, context: int
    ) -> None:
        """Prepare; no request is sent to the servers yet.

        Args:
            config: the servers' URLs and their kind.
            grammar: of the vocabulary that they serve.
            ends: the ids that end an answer.
            running: answers at once, on all servers together; more of them wait here, earliest deadline first.
            context: the most ids that a prompt and its answer may have together.

        """
        self.context = context
        self._grammar, self._ends = grammar, ends
        self._servers = Servers(config, DIALECTS[config.kind])
        self._slots = PrioritySlots(running)
        self._span = cache(self._allowed_ids)
        self._closed = False

    @property
    def failure(self) -> str | None:
        """See LanguageModel.failure."""
        return self._servers.failure

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """See LanguageModel.generate."""
        max_tokens = max_answer_tokens(prompt, sampling, self.context)
        temperature = 0 if sampling.greedy else sampling.temperature
        sampling = replace(sampling, temperature=temperature, top_p=max(sampling.top_p, LEAST_TOP_P))
        try:
            async with self._slots.take(due):
                if self._closed:
                    raise EngineClosed
                async with aclosing(self._answer(prompt, sampling, max_tokens)) as answer:
                    async for ids in answer:
                        yield ids
        except BackendFailed as error:
            raise EngineClosed() if self._closed else error from error.__cause__

    async def close(self) -> None:
        """See LanguageModel.close. All connections are closed."""
        self._closed = True
        await self._servers.close()

    async def _answer(self, prompt: Prompt, sampling: Sampling, max_tokens: int) -> AsyncGenerator[list[int], None]:
        """At most `max_tokens` ids, span by span."""
        ids, state, requests, strict = list(prompt.ids), self._grammar.start(prompt.answer), 0, False
        remaining = max_tokens
        while state != ACCEPTED and remaining:
            allowed, forbidden, length = self._span(state, strict)
            if len(allowed) == 1:
                state = self._grammar.advance(state, self._grammar.row(allowed[0]))
                ids, remaining = [*ids, allowed[0]], remaining - 1
                yield [allowed[0]]
                continue
            seed, requests = _seed(sampling.seed, requests), requests + 1
            wanted = min(remaining, length or remaining)
            request = CompletionRequest(tuple(ids), allowed, forbidden, self._ends, wanted, sampling, seed, strict)
            received, invalid = 0, False
            async with aclosing(self._servers.stream(request)) as chunks:
                async for chunk in chunks:
                    new, state, invalid = self._follow(state, chunk)
                    if new:
                        ids, received = ids + new, received + len(new)
                        yield new
                    if invalid or (state == ACCEPTED and not chunk.stopped):
                        break
            if state != ACCEPTED and received < wanted and not invalid:
                raise BackendFailed(
                    f"The language model's server stopped after {received} of {wanted} tokens. Its context must be as "
                    f"large as `max_context`, which is {self.context}."
                )
            if invalid and strict:
                raise BackendFailed(
                    "The language model's server samples ids that the request does not allow; check `kind`."
                )
            remaining, strict = remaining - received, invalid

    def _follow(self, state: int, chunk: TokenChunk) -> tuple[list[int], int, bool]:
        """The ids up to the end or the first invalid one, the state after them, and whether one is invalid."""
        tokens = chunk.ids
        if chunk.stopped and not (tokens and tokens[-1] in self._ends):
            tokens = [*tokens, self._ends[0]]  # some servers do not send the end token
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

    def _allowed_ids(self, state: int, strict: bool) -> tuple[tuple[int, ...], tuple[int, ...], int | None]:
        """The ids that are allowed in the span from this state on, the others, and its length (None: any length)."""
        rows, length = (self._grammar.allowed[state], 1) if strict else uniform_span(self._grammar, state)
        return tuple(self._grammar.ids[rows].tolist()), tuple(self._grammar.ids[~rows].tolist()), length


def uniform_span(grammar: Grammar, state: int) -> tuple[npt.NDArray[np.bool_], int | None]:
    """The rows that the grammar allows in the span from `state` on, shape (rows,), and its length (None: any length).

    These are the rows that are allowed anywhere in the span. Some of them, such as the end of speech that has not
    begun, are not allowed at its first position: `Grammar.advance` checks that.
    """
    allowed, length = grammar.allowed[state], 1
    while True:
        successors = {grammar.advance(state, row) for row in np.flatnonzero(grammar.allowed[state]).tolist()}
        successors.discard(ACCEPTED)
        if len(successors) != 1:
            return allowed, length
        (successor,) = successors
        if successor == state:
            return allowed, None
        if (allowed & ~grammar.allowed[successor]).any():
            return allowed, length
        state, allowed, length = successor, grammar.allowed[successor], length + 1


def _seed(seed: int | None, number: int) -> int | None:
    """The seed of an answer's request of this number, 31 bits."""
    return None if seed is None else int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) >> 1
