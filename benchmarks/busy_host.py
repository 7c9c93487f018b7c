"""Speech on an idle host and beside busy processes, by threads, waits and niceness: `python -m benchmarks.busy_host`.

Each row is measured in a process of its own, since OpenMP reads its settings when it is loaded.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engine import EngineConfig, Sampling, SpeechEngine, SpeechRequest
from engine.runtime.processors import SPINS

BUSY = "while True: pass"
TEXT = "The quick brown fox jumps over the lazy dog."


@dataclass(frozen=True, slots=True)
class Case:
    """A way to share the processors."""

    name: str
    threads: int
    spins: str | None = None
    nice: int = 0


async def measure(model: str, threads: int, sentences: int) -> tuple[float, float]:
    """Median seconds to the first audio, and to the end of a sentence of at most 100 tokens."""
    firsts, ends = [], []
    with tempfile.TemporaryDirectory() as directory:
        engine = SpeechEngine.load(EngineConfig(model=model, threads=threads, data_directory=Path(directory)))
        await engine.warm_up()
        for seed in range(sentences):
            request = SpeechRequest(TEXT, "alloy", sampling=Sampling(seed=seed), max_tokens=100)
            begun = time.perf_counter()
            async with aclosing(engine.synthesize(request)) as chunks:
                await anext(chunks)
                firsts.append(time.perf_counter() - begun)
                async for _ in chunks:
                    pass
            ends.append(time.perf_counter() - begun)
        await engine.close()
    return statistics.median(firsts), statistics.median(ends)


@contextmanager
def busy(processes: int) -> Generator[None, None, None]:
    """So many processes that each use a processor as far as they get one."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def in_process(case: Case, model: str, sentences: int, limit: float) -> str:
    """What `measure` finds in a process of its own, as a cell of the table."""
    free = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = free | ({"GOMP_SPINCOUNT": case.spins} if case.spins else {})
    command = ["nice", "-n", str(case.nice), sys.executable, "-m", "benchmarks.busy_host", model]
    command += ["--only-threads", str(case.threads), "--sentences", str(sentences)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        return f"over {limit:g} s in all"
    first, end = json.loads(done.stdout)
    return f"{first:.2f}, {end:.2f}"


def main(
    model: Annotated[str, typer.Argument(help="demo, or a checkpoint's directory.")] = "demo",
    sentences: Annotated[int, typer.Option(help="For each figure.")] = 5,
    limit: Annotated[float, typer.Option(help="Seconds for each figure, loading included.")] = 120,
    only_threads: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print a Markdown table: seconds to the first audio and to the end of a sentence, medians."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    if only_threads is not None:
        console.print(json.dumps(asyncio.run(measure(model, only_threads, sentences))))
        return
    cores = len(os.sched_getaffinity(0))
    cases = [
        Case(f"{cores} threads", cores),
        Case(f"{max(1, cores - 1)} threads", max(1, cores - 1)),
        Case(f"{cores} threads, short waits", cores, SPINS),
    ]
    if os.geteuid() == 0:
        cases.append(Case(f"{cores} threads, short waits, nice -10", cores, SPINS, -10))
    console.print(f"| | idle | beside {cores} busy processes |\n|---|---|---|")
    for case in cases:
        idle = in_process(case, model, sentences, limit)
        with busy(cores):
            beside = in_process(case, model, sentences, limit)
        console.print(f"| {case.name} | {idle} | {beside} |")


if __name__ == "__main__":
    typer.run(main)
