"""The codec's asynchronous interface: the items of all callers are batched, in one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import numpy as np

from engine.errors import BackendFailed
from engine.runtime.batching import Batcher
from engine.runtime.compute import Compute, run_inline
from engine.types import CODEC_SAMPLE_RATE, SAMPLES_PER_TOKEN, Passage, Samples, TokenIds


class Codec(Protocol):
    """Encodes and decodes on a device; BiCodec is the implementation."""

    def encode_batch(self, waves: list[Samples]) -> list[tuple[TokenIds, TokenIds]]:
        """Global tokens (32,) and semantic tokens (T,) of each wave at 16 kHz."""
        ...

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        """Samples of each passage, 320 for each token that it keeps."""
        ...


class ObservedCodec:
    """A codec that reports how many windows it decodes at once."""

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


class CodecWorker:
    """One codec on one device, with one thread."""

    def __init__(self, codec: Codec, batch_seconds: float, compute: Compute = run_inline) -> None:
        self._codec = codec
        self._batcher = Batcher("codec", int(batch_seconds * CODEC_SAMPLE_RATE), compute)

    async def encode(self, wave: Samples) -> tuple[TokenIds, TokenIds]:
        """Global tokens (32,) and semantic tokens (T,) of a recording at 16 kHz, see `Batcher.run` for errors."""
        now = asyncio.get_running_loop().time()
        return await self._batcher.run(self._codec.encode_batch, wave, len(wave), now)

    async def decode(self, passage: Passage, due: float) -> Samples:
        """Samples at 16 kHz. `due` is the deadline: the event loop's time at which a listener needs them.

        Raises BackendFailed if they are not as many as they must be, or not numbers; see `Batcher.run` for more.
        """
        size = len(passage.semantic) * SAMPLES_PER_TOKEN
        samples = await self._batcher.run(self._codec.decode_batch, passage, size, due)
        expected = len(passage.semantic[passage.kept]) * SAMPLES_PER_TOKEN
        if samples.shape != (expected,):
            raise BackendFailed(f"The codec made samples of shape {samples.shape} where {expected} were due.")
        if not np.isfinite(samples).all():
            raise BackendFailed("The codec made samples that are not numbers; are its weights damaged?")
        return samples

    async def close(self) -> None:
        """Finish the current batch and stop the thread."""
        await self._batcher.close()
