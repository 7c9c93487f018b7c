"""Decode steps at fixed shapes. On CUDA each shape is recorded once, and replayed without work on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from engine.runtime.devices import RECORDING

LEAST_LENGTH = 256  # positions; attending to a few more costs little compared with reading the weights

DecodeStep = Callable[[torch.Tensor, int], torch.Tensor]
"""Takes rows and positions (2, B) and the number of attended positions; returns logits (B, rows of the head)."""


def bucket(size: int, least: int, most: int) -> int:
    """`size` rounded up to a power of two, from `least` to `most`; `most` can be any number."""
    return min(max(1 << (size - 1).bit_length(), least), most)


def buckets(least: int, most: int) -> list[int]:
    """What `bucket` can return, the largest first."""
    return sorted({bucket(size, least, most) for size in range(1, most + 1)}, reverse=True)


def to_device(
    numbers: Sequence[float] | Sequence[Sequence[float]], device: torch.device, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Numbers as a tensor on a device. On CUDA this waits for nothing that the device has to do before."""
    return torch.tensor(numbers, dtype=dtype, pin_memory=device.type == "cuda").to(device, non_blocking=True)


class Recorder:
    """Makes CUDA graphs, which share memory: what one returns is valid until the next one runs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def __call__(self, function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        """`function`, which uses tensors with fixed addresses: as a graph on CUDA, as it is on a CPU."""
        if self._pool is None:
            return function
        with RECORDING, torch.cuda.device(self._device):
            function()  # the libraries' first calls do set-up work that cannot be recorded
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                result = function()

        def replay() -> torch.Tensor:
            graph.replay()
            return result

        return replay


class CudaGraphRunner:
    """A DecodeStep that runs another one at shapes of powers of two only, on buffers with fixed addresses.

    On a CPU no graphs are recorded: each step is computed, on the same buffers. The logits are valid until the next
    step.
    """

    def __init__(self, step: DecodeStep, slots: int, context: int, device: torch.device) -> None:
        """Record all shapes, the largest first: the others share its memory. The KV cache must be empty."""
        self._slots, self._context = slots, context
        self._inputs = torch.zeros((2, slots), dtype=torch.long, device=device)
        record = Recorder(device)
        self._steps = {
            (width, length): record(partial(step, self._inputs[:, :width], length))
            for width in buckets(1, slots)
            for length in buckets(LEAST_LENGTH, context)
        }

    def width(self, sequences: int) -> int:
        """The batch size for this number of sequences."""
        return bucket(sequences, 1, self._slots)

    def __call__(self, batch: torch.Tensor, length: int) -> torch.Tensor:
        """See DecodeStep; B must be a `width`."""
        width = batch.shape[1]
        self._inputs[:, :width] = batch
        return self._steps[width, bucket(length, LEAST_LENGTH, self._context)]()
