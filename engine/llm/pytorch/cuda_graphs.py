"""A decode step at fixed shapes: on CUDA each shape is recorded once, and then replayed without the host's work."""

from __future__ import annotations

from collections.abc import Callable

import torch

LEAST_LENGTH = 256  # positions; attending to more than there are costs little beside reading the weights

DecodeStep = Callable[[torch.Tensor, int], torch.Tensor]
"""Maps rows and positions (2, B), and how many positions are attended to, to logits (B, rows of the head)."""


def bucket(size: int, least: int, most: int) -> int:
    """The next power of two, within bounds; `most` need not be one."""
    return min(max(1 << (size - 1).bit_length(), least), most)


class CudaGraphRunner:
    """A DecodeStep made of another, which runs at powers of two only, on buffers that stay where they are.

    On a CPU nothing is recorded: each step is computed anew, on the same buffers. What it returns is valid until
    the next step.
    """

    def __init__(self, step: DecodeStep, slots: int, context: int, device: torch.device) -> None:
        """Record every shape, the largest first, whose memory the others share; the cache must hold nothing yet."""
        self._step, self._slots, self._context = step, slots, context
        self._inputs = torch.zeros((2, slots), dtype=torch.long, device=device)
        self._graphs: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}
        if device.type == "cuda":
            with torch.cuda.device(device):
                self._record()

    def width(self, sequences: int) -> int:
        """How many a batch must have that holds so many."""
        return bucket(sequences, 1, self._slots)

    def __call__(self, batch: torch.Tensor, length: int) -> torch.Tensor:
        """See DecodeStep; B is a `width`."""
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
            self._run(*shape)  # what the libraries set up at their first call cannot be recorded
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                logits = self._run(*shape)
            self._graphs[shape] = graph, logits
