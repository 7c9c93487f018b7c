"""What an engine tells about its work, to whoever wants to count it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.types import Passage, Samples, TokenIds

if TYPE_CHECKING:
    from engine.codec.worker import Codec


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


class ObservedCodec:
    """A codec that tells how many windows it decodes at once."""

    def __init__(self, codec: Codec, on_batch: Callable[[int], None]) -> None:
        self._codec = codec
        self._on_batch = on_batch

    def encode_batch(self, waves: list[Samples]) -> list[tuple[TokenIds, TokenIds]]:
        """See Codec.encode_batch."""
        return self._codec.encode_batch(waves)

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        """See Codec.decode_batch."""
        self._on_batch(len(items))
        return self._codec.decode_batch(items)
