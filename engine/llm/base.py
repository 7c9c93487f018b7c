"""The Protocols of a language model: what the engine calls, and what a backend in this process implements."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.errors import InvalidRequest
from engine.types import Prompt, Sampling

if TYPE_CHECKING:
    import torch


class LanguageModel(Protocol):
    """One long-lived model that serves many requests at once."""

    @property
    def context(self) -> int:
        """The most ids that a prompt and its answer may have together."""
        ...

    @property
    def failure(self) -> str | None:
        """Why no request can be answered now; None as long as requests can be answered."""
        ...

    def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """Yield new ids as they are generated, in order, without the end token.

        `due` is the request's deadline: the event loop's time at which a listener needs the first id. Requests that
        wait for a slot get one in the order of their deadlines, the earliest first. Closing the generator aborts the
        request and frees its slot. Raises InvalidRequest if the prompt does not fit into the context, BackendFailed
        if the model raised, and EngineClosed if the model is or was closed.
        """
        ...

    async def close(self) -> None:
        """Stop. Requests that still run end with EngineClosed."""
        ...


def max_answer_tokens(prompt: Prompt, sampling: Sampling, context: int) -> int:
    """The most ids that an answer may have: what is asked for, if the context has room for it.

    Raises InvalidRequest if the context has no room for an answer.
    """
    room = context - len(prompt.ids)
    if room < 1:
        raise InvalidRequest(f"The prompt has {len(prompt.ids)} tokens; this model takes {context - 1}.")
    return min(sampling.max_tokens, room)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Ids of a prompt, at the positions from `start` on, for the sequence in `slot`."""

    slot: int
    ids: Sequence[int]
    start: int


class ModelRunner(Protocol):
    """A model that computes one step at a time, called from one thread. `Scheduler` makes a LanguageModel of it.

    It has a KV cache with `slots` slots, each for a sequence of at most `context` ids. The prompts of several sequences
    are prefilled in one pass. A pass has at most `budget` ids, which bounds how long prompts delay the other sequences;
    a prompt that is longer is divided at multiples of `chunk`, and its results do not depend on where. `budget` is at
    least `chunk`. Logits are for the rows of `Grammar.ids`, and valid until the next step.
    """

    slots: int
    context: int
    chunk: int
    budget: int
    device: torch.device

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Prefill one chunk in each of B slots; return the logits after the last id of each, shape (B, rows)."""
        ...

    def decode(self, slots: Sequence[int], rows: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Compute the step after one generated row in each of B slots; return its logits, shape (B, rows)."""
        ...

    def move(self, source: int, target: int) -> None:
        """Move the sequence in the slot `source` to the free slot `target`."""
        ...

    def release(self, slot: int) -> None:
        """Free the slot: forget its sequence."""
        ...
