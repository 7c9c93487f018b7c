"""A codec that can be unloaded, and that comes back with the next batch."""

from __future__ import annotations

from collections.abc import Callable

from engine.codec.worker import Codec
from engine.types import Passage, Samples, TokenIds


class SleepingCodec:
    """A Codec around another one, which `load` loads again, in the thread that works with it."""

    def __init__(self, codec: Codec, load: Callable[[], Codec]) -> None:
        self._codec: Codec | None = codec
        self._load = load

    def encode_batch(self, waves: list[Samples]) -> list[tuple[TokenIds, TokenIds]]:
        """See Codec.encode_batch."""
        return self._awake().encode_batch(waves)

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        """See Codec.decode_batch."""
        return self._awake().decode_batch(items)

    @property
    def asleep(self) -> bool:
        """Whether the codec is unloaded."""
        return self._codec is None

    def sleep(self) -> None:
        """Unload the codec; a batch that runs finishes."""
        self._codec = None

    def wake(self) -> None:
        """Load the codec again."""
        self._awake()

    def _awake(self) -> Codec:
        codec = self._codec
        if codec is None:
            codec = self._codec = self._load()
        return codec
