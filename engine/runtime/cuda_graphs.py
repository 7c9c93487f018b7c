"""CUDA graphs: work on a GPU that is recorded once, and replayed without work on the host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch

RECORDING = threading.Lock()  # torch can record only one graph at a time
REPEATS = 3  # of a graph whose time is measured


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

    def seconds(self, call: Callable[[], torch.Tensor]) -> float:
        """The time that a graph takes; 0 on a CPU."""
        if self._pool is None:
            return 0.0
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        with torch.cuda.device(self._device):  # whose stream the events are recorded in
            call()
            begin.record()
            for _ in range(REPEATS):
                call()
            end.record()
            end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3 / REPEATS
