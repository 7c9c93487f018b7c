"""Callbacks through which an engine reports its work, for metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


def ignore(what: object) -> None:
    """Ignore the report."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Functions that the engine calls from its threads; they must be quick.

    `step` gets the number of sequences in a decode step of the language model, each of which gets a token. `batch` gets
    the number of windows that the codec decoded at once. `death` gets the reason, in the event loop, when the language
    model's process has ended and the engine can never answer again. `backend` gets the language model's, such as
    `llama-cpp q4_0`, when it is loaded.
    """

    step: Callable[[int], None] = ignore
    batch: Callable[[int], None] = ignore
    death: Callable[[str], None] = ignore
    take: Callable[[str], None] = ignore
    backend: Callable[[str], None] = ignore


UNOBSERVED: Final = Observer()
