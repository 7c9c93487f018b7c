"""What an engine tells about its work, to whoever wants to count it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


def nobody(what: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Functions that hear of the engine's work, called from its threads: they must be quick.

    `step` hears how many sequences the language model took through one step, which gives each a token; `batch`
    how many windows the codec decoded at once; `death`, in the event loop, that the language model's process has
    ended, and that the engine will never speak again.
    """

    step: Callable[[int], None] = nobody
    batch: Callable[[int], None] = nobody
    death: Callable[[str], None] = nobody


UNOBSERVED: Final = Observer()
