"""Decoding at fixed shapes on CUDA: each shape is recorded once as a graph, and replayed without work on the host.

A decode is hundreds of kernels. On an H200 the host needs 8 ms to start them, and the GPU 1.4 ms to compute a window of
52 frames.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby, product
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from engine.codec.layers import lengths_if_padded
from engine.runtime.cuda_graphs import Recorder

BATCHES = (1, 2, 4, 8, 16)
FRAMES = (27, 36, 54, 72, 108, 135, 180, 216, 306)
"""For the windows of the default plan, of 28, 60, 93, 133, 198 and 298 frames, and for what the wave generator gets of
them: 27, 50, 71, 107, 172 and 272. Multiples of 9, the largest dilation."""

BatchFunction = Callable[..., Tensor]
"""Takes padded batches, the first one (B, T, ...), and their `Lengths`; returns a batch."""


class Batched(Protocol):
    """A BatchFunction that is given the lengths of all items."""

    def __call__(self, *inputs: Tensor, lengths: Sequence[int]) -> Tensor:
        """The function's result."""
        ...


class FixedShapes:
    """Calls a BatchFunction at few shapes only, on buffers with fixed addresses. On a CPU no graphs are recorded."""

    def __init__(self, function: BatchFunction, examples: Sequence[Tensor]) -> None:
        """Record all shapes on CUDA, the largest first: the others share its memory.

        `examples` are inputs for one item with one frame. An input whose example has the shape (1, 1, ...) has an entry
        for each frame, others have one for each item.
        """
        self._function, self._examples = function, examples
        device = examples[0].device
        most = BATCHES[-1] * FRAMES[-1]
        self._buffers = [torch.zeros(most * one.numel(), dtype=one.dtype, device=device) for one in examples]
        self._lengths = torch.zeros(BATCHES[-1], dtype=torch.long, device=device)
        record = Recorder(device)
        with torch.inference_mode():
            self._calls = {
                shape: record(partial(function, *self._inputs(*shape), self._lengths[: shape[0]]))
                for shape in sorted(product(BATCHES, FRAMES), reverse=True)
            }
            self._fastest = fastest({shape: record.seconds(call) for shape, call in self._calls.items()})

    def __call__(self, *inputs: Tensor, lengths: Sequence[int]) -> Tensor:
        """The function's result, valid until the next call. It may have more frames than the inputs."""
        B, T = inputs[0].shape[:2]
        width, length = bisect_left(BATCHES, B), bisect_left(FRAMES, T)
        if width == len(BATCHES) or length == len(FRAMES):
            own = [value.to(self._lengths.device) for value in inputs]
            return self._function(*own, lengths_if_padded(lengths))
        shape = self._fastest[BATCHES[width], FRAMES[length]]
        for buffer, given in zip(self._inputs(*shape), inputs, strict=True):
            buffer[tuple(map(slice, given.shape))] = given
        self._lengths[:B] = torch.tensor(lengths)
        return self._calls[shape]()[:B]

    def _inputs(self, batch: int, frames: int) -> list[Tensor]:
        """The buffers in this shape."""
        views = []
        for buffer, example in zip(self._buffers, self._examples, strict=True):
            shape = (batch, frames if example.shape[1] == 1 else example.shape[1], *example.shape[2:])
            views.append(buffer[: prod(shape)].view(shape))
        return views


def fastest(seconds: Mapping[tuple[int, int], float]) -> dict[tuple[int, int], tuple[int, int]]:
    """The fastest shape for each shape: itself, or a larger one.

    cuDNN guesses which kernel is fast. For one layer of one window of 150 frames its guess took 26 ms on an H200, where
    the same layer takes 0.5 ms for 16 windows. To let it measure all layers in all shapes would take minutes.
    """
    return {
        (batch, frames): min(
            (took, other) for other, took in seconds.items() if other >= (batch, frames) and other[1] >= frames
        )[1]
        for batch, frames in seconds
    }


def exactly(function: BatchFunction, *inputs: Tensor, lengths: Sequence[int]) -> Tensor:
    """The function's result at the shape of its inputs."""
    return function(*inputs, lengths_if_padded(lengths))


def groups(lengths: Sequence[int]) -> list[list[int]]:
    """The indices of items that share a shape, with these lengths: at most BATCHES[-1] in each group."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    alike = [list(group) for _, group in groupby(order, key=lambda n: bisect_left(FRAMES, lengths[n]))]
    return [group[n : n + BATCHES[-1]] for group in alike for n in range(0, len(group), BATCHES[-1])]
