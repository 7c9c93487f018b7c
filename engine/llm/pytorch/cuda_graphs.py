"""Decode steps at fixed shapes. On CUDA each shape is recorded once, and replayed without work on the host."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from engine.runtime.cuda_graphs import Recorder, bucket, buckets

LEAST_LENGTH = 256  # positions; attending to a few more costs little compared with reading the weights

DecodeStep = Callable[[torch.Tensor, int], torch.Tensor]
"""Takes rows and positions (2, B) and the number of attended positions; returns logits (B, rows of the head)."""


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
