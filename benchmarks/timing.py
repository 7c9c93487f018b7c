"""The time of calls on a device whose work goes on after a call has returned."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def synchronised(device: torch.device) -> float:
    """The time, when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(function: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median seconds of a call, after one that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        begin = synchronised(device)
        function()
        times.append(synchronised(device) - begin)
    return statistics.median(times)
