"""Decode steps at fixed shapes. On CUDA each shape is recorded once, and replayed without work on the host."""

from __future__ import annotations

from collections.abc import Callable

import torch

LEAST_LENGTH = 256  # positions; attending to a few more costs little compared with reading the weights

DecodeStep = Callable[[torch.Tensor, int], torch.Tensor]
"""Takes rows and positions (2, B) and the number of attended positions; returns logits (B, rows of the head)."""


def bucket(size: int, least: int, most: int) -> int:
    """`size` rounded up to a power of two, from `least` to `most`; `most` can be any number."""
    return min(max(1 << (size - 1).bit_length(), least), most)


class CudaGraphRunner:
    """A DecodeStep that runs another one at shapes of powers of two only, on buffers with fixed addresses.

    On a CPU no graphs are recorded: each step is computed, on the same buffers. The logits are valid until the next
    step.
    """

    def __init__(self, step: DecodeStep, slots: int, context: int, device: torch.device) -> None:
        """Record all shapes, the largest first: the others share its memory. The KV cache must be empty."""
        self._step, self._slots, self._context = step, slots, context
        self._inputs = torch.zeros((2, slots), dtype=torch.long, device=device)
        self._graphs: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}
        if device.type == "cuda":
            with torch.cuda.device(device):
                self._record()

    def width(self, sequences: int) -> int:
        """The batch size for this number of sequences."""
        return bucket(sequences, 1, self._slots)

    def __call__(self, batch: torch.Tensor, length: int) -> torch.Tensor:
        """See DecodeStep; B must be a `width`."""
        shape = batch.shape[1], bucket(length, LEAST_LENGTH, self._context)
        self._inputs[:, : batch.shape[1]] = batch
        if shape not in self._graphs:
            return self._run(*shape)
        graph, logits = self._graphs[shape]
        graph.replay()
        return logits

    def _run(self, width: int, length: int) -> torch.Tensor:
        return self._step(self._inputs[:, :width], length)

    def _record(self) -> None:
        pool = torch.cuda.graph_pool_handle()
        widths = {self.width(size) for size in range(1, self._slots + 1)}
        lengths = {bucket(size, LEAST_LENGTH, self._context) for size in range(1, self._context + 1)}
        for shape in sorted(((w, n) for w in widths for n in lengths), reverse=True):
            self._run(*shape)  # the libraries' first calls do set-up work that cannot be recorded
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                logits = self._run(*shape)
            self._graphs[shape] = graph, logits
