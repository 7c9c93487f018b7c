"""The benchmark's results as a table and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from server.bench.client import Level


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The median and the 95th percentile."""

    p50: float
    p95: float

    @classmethod
    def of(cls, values: list[float]) -> Percentiles | None:
        """Return the percentiles; None without values."""
        if not values:
            return None
        p50, p95 = np.percentile(values, (50, 95))
        return cls(float(p50), float(p95))


@dataclass(frozen=True, slots=True)
class Summary:
    """The statistics of a level. Failed requests count as errors only."""

    clients: int
    first_audio: Percentiles | None
    """Seconds."""
    real_time_factor: Percentiles | None
    """Response time divided by the length of the audio."""
    audio_per_second: float
    """Seconds of audio per second, for all clients together."""
    underruns: int
    failed_takes: int | None
    """Takes of sentences that the server drew again."""
    errors: int

    @classmethod
    def of(cls, level: Level) -> Summary:
        """Summarize a level."""
        whole = [answer for answer in level.answers if answer.error is None]
        return cls(
            level.clients,
            Percentiles.of([answer.first_audio for answer in whole]),
            Percentiles.of([answer.total / answer.audio for answer in whole]),
            sum(answer.audio for answer in whole) / level.seconds,
            sum(answer.underruns for answer in whole),
            level.failed_takes,
            len(level.answers) - len(whole),
        )


def errors_of(levels: list[Level]) -> Counter[str]:
    """Count the errors by message."""
    return Counter(answer.error for level in levels for answer in level.answers if answer.error is not None)


def as_table(levels: list[Level], title: str) -> Table:
    """Return the table, with one row per level."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in (
        "Clients",
        "First\naudio\np50 (s)",
        "First\naudio\np95 (s)",
        "Real-time\nfactor\np50",
        "Real-time\nfactor\np95",
        "Audio s\nper s",
        "Under-\nruns",
        "Failed\ntakes",
        "Errors",
    ):
        table.add_column(heading, justify="right", vertical="bottom")
    for summary in map(Summary.of, levels):
        table.add_row(
            str(summary.clients),
            *_cells(summary.first_audio),
            *_cells(summary.real_time_factor),
            f"{summary.audio_per_second:.2f}",
            str(summary.underruns),
            "-" if summary.failed_takes is None else str(summary.failed_takes),
            str(summary.errors),
        )
    return table


def _cells(percentiles: Percentiles | None) -> tuple[str, str]:
    return ("-", "-") if percentiles is None else (f"{percentiles.p50:.2f}", f"{percentiles.p95:.2f}")


def write_json(levels: list[Level], about: dict[str, object], file: Path) -> None:
    """Return the summaries, all results, and the system on which they were measured."""
    results = [
        asdict(Summary.of(level)) | {"seconds": level.seconds, "answers": [asdict(a) for a in level.answers]}
        for level in levels
    ]
    text = json.dumps(about | {"levels": results}, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")
