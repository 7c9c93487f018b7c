"""Plots of the benchmark's results; needs matplotlib."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from server.bench.client import Level
from server.bench.report import Percentiles, Summary

NONE = Percentiles(math.nan, math.nan)


def write_plot(levels: list[Level], title: str, file: Path) -> None:
    """Write four plots by number of clients to a PNG file."""
    summaries = [Summary.of(level) for level in levels]
    figure = Figure(figsize=(10, 7.5), layout=ConstrainedLayoutEngine(hspace=0.06, wspace=0.04))
    figure.suptitle(title)
    (first_audio, factor), (throughput, trouble) = figure.subplots(2, 2)
    _percentiles(first_audio, [summary.first_audio for summary in summaries])
    first_audio.set(title="Time to first audio", ylabel="seconds")
    _percentiles(factor, [summary.real_time_factor for summary in summaries])
    factor.axhline(1, color="tab:gray", linestyle=":", label="as fast as speech")
    factor.set(title="Real-time factor", ylabel="seconds per second of audio")
    _bars(throughput, [summary.audio_per_second for summary in summaries], "tab:green", "%.2f")
    throughput.set(title="Throughput of all clients", ylabel="seconds of audio per second")
    _bars(trouble, [summary.underruns for summary in summaries], "tab:purple", "%d", "underruns", offset=-0.2)
    _bars(trouble, [summary.errors for summary in summaries], "tab:red", "%d", "errors", offset=0.2)
    trouble.set(title="Underruns and errors", ylabel="count")
    trouble.yaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (first_audio, factor, throughput, trouble):
        # A logarithmic scale: the distance from 1 to 2 clients is that from 8 to 16.
        axes.set_xticks(range(len(levels)), [str(level.clients) for level in levels])
        axes.set(xlabel="clients at once", xlim=(-0.6, len(levels) - 0.4))
        axes.set_ylim(0, max(axes.dataLim.y1, 1 if axes is trouble else 0.01) * 1.15)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        if axes is not throughput:
            axes.legend()
    figure.savefig(file, dpi=150)


def _percentiles(axes: Axes, values: list[Percentiles | None]) -> None:
    positions = range(len(values))
    axes.plot(positions, [(value or NONE).p50 for value in values], "o-", color="tab:blue", label="p50")
    axes.plot(positions, [(value or NONE).p95 for value in values], "o--", color="tab:orange", label="p95")


def _bars(
    axes: Axes, values: list[float] | list[int], color: str, number: str, label: str = "", offset: float = 0
) -> None:
    width = 0.4 if offset else 0.6
    bars = axes.bar([n + offset for n in range(len(values))], values, width, color=color, label=label)
    axes.bar_label(bars, fmt=number, padding=2)
