"""What a language model is to the engine, and what a backend that runs in this process must be able to do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Protocol

from engine.types import Prompt, Sampling

if TYPE_CHECKING:
    import torch


class LanguageModel(Protocol):
    """One long-lived model that serves many requests at once."""

    @property
    def context(self) -> int:
        """How many ids a prompt and its answer may have together."""
        ...

    @property
    def failure(self) -> str | None:
        """Why no request can be answered now, for /health/ready; None as long as one can."""
        ...

    def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """Yield new ids as they come, in order, without the end token.

        `due` is the event loop's time at which a listener needs the first: of the requests that wait for a place,
        the one that is due first gets it. Closing the generator aborts the request and frees its place. Raises
        InvalidRequest if the prompt does not fit, BackendFailed if the model raised, EngineClosed if it was
        closed meanwhile.
        """
        ...

    async def close(self) -> None:
        """Stop, and end the requests that still run."""
        ...


class ModelRunner(Protocol):
    """A model that takes one step at a time, called from one thread; `Scheduler` makes it a LanguageModel.

    It keeps the keys and values of `slots` sequences of at most `context` ids each. Prompts are taken in `chunk`
    ids at a time, which bounds how long one can stall the others. Logits are for the rows of `Grammar.ids`, and
    valid until the next step.
    """

    slots: int
    context: int
    chunk: int
    device: torch.device

    def prefill(self, slot: int, ids: Sequence[int], start: int) -> torch.Tensor:
        """Take in `ids` at the positions from `start` on; return the logits after the last, shape (rows,)."""
        ...

    def decode(self, slots: Sequence[int], rows: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Take in one generated token for each of B slots; return the logits after it, shape (B, rows)."""
        ...

    def move(self, source: int, target: int) -> None:
        """Move a slot's sequence to a free one."""
        ...

    def release(self, slot: int) -> None:
        """Forget the slot's sequence: its place is free."""
        ...
