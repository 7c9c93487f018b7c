"""What Ray adds, the streams of its proxy, and throughput by number of replicas: `python -m benchmarks.cluster`.

The engines are paced (`benchmarks.paced`): they sleep as long as a GPU would compute, so that eight replicas fit on a
small machine. What is measured is routing, queues and transport, not a model.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx2
import ray
import typer
import uvicorn
from matplotlib.figure import Figure
from ray import serve
from rich.console import Console

from benchmarks.paced import paced_engine
from engine import EngineConfig, Observer, SpeechEngine
from server import cluster
from server.app import create_app
from server.bench.client import Level, Workload, connect, measure
from server.bench.report import Summary
from server.cluster_edge import IMPORT_PATH, VARIABLE
from server.connections import ClientConnection
from server.settings import Settings

SENTENCE = "This is a sentence of a few seconds. "
SLOTS = 4  # of a replica in the measurement of throughput
ANSWER_TOKENS = 100  # an answer of two seconds
ANSWER_SECONDS = 1.0  # that an engine takes for it
GPU_STEP = 0.002  # seconds for a token: ten times as fast as speech
console = Console()
app = typer.Typer(pretty_exceptions_enable=False)

Load = Callable[[Observer], SpeechEngine]


def settings_in(directory: Path, slots: int) -> Settings:
    """The settings of all servers here."""
    engine = EngineConfig(data_directory=directory, sentences_ahead=2, max_running=2 * slots)
    return Settings(
        engine=engine, max_requests=slots, max_waiting=10_000, deadline_seconds=600, nice=0, watchdog_seconds=0
    )


def pace(settings: Settings, step_seconds: float) -> Load:
    """What makes the engine of a replica."""
    return partial(paced_engine, config=settings.engine, slots=settings.engine.max_running, step_seconds=step_seconds)


def _plain(settings: Settings, load: Load, port: int) -> None:
    uvicorn.run(create_app(settings, load), http=ClientConnection, port=port, log_config=None)


@contextmanager
def plain_server(settings: Settings, load: Load) -> Generator[str, None, None]:
    """One server in a process of its own."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_plain, args=(settings, load, port))
    process.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


@contextmanager
def ray_cluster() -> Generator[str, None, None]:
    """A cluster on this machine, with one proxy and room for many replicas."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", VARIABLE: IMPORT_PATH}
    ray.init(
        include_dashboard=False,
        num_cpus=32,
        object_store_memory=80 * 2**20,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port}, proxy_location="HeadOnly")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


def deploy(settings: Settings, load: Load, replicas: int) -> None:
    """Deploy paced replicas, and wait until they are ready."""
    options = {"num_replicas": replicas, "ray_actor_options": {"num_cpus": 1}}
    serve.run(
        cluster.application(settings, load, **options, max_ongoing_requests=10_000), name=cluster.NAME, route_prefix="/"
    )


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def workload(tokens: int, sentences: int = 1) -> Workload:
    """Requests for `sentences` of `tokens` each."""
    return Workload((SENTENCE * sentences,), "alloy", "pcm", tokens, stream=True)


async def ready(http: httpx2.AsyncClient) -> None:
    """Wait until the server is ready."""
    while True:
        try:
            if (await http.get("/health/ready")).status_code == 200:
                break
        except httpx2.HTTPError:
            pass
        await asyncio.sleep(0.2)
    await measure(http, workload(10), 4, 20)


async def first_audio(urls: list[str], rounds: int) -> list[list[float]]:
    """Seconds to the first audio of each server; they are asked by turns."""
    clients = [connect(url) for url in urls]
    times: list[list[float]] = [[] for _ in urls]
    for http in clients:
        await ready(http)
    for _ in range(rounds):
        for http, mine in zip(clients, times, strict=True):
            [answer] = (await measure(http, workload(60), 1, 1)).answers
            mine.append(answer.first_audio)
    for http in clients:
        await http.aclose()
    return times


async def streams(url: str, number: int) -> Summary:
    """Play so many streams at once, each of about six seconds."""
    async with connect(url) as http:
        await ready(http)
        return Summary.of(await measure(http, workload(ANSWER_TOKENS, 3), number, number))


async def throughput(url: str, clients: int, requests: int) -> tuple[float, Level]:
    """Answers per second while all clients ask: between the first and the last fifth of the answers."""
    ends: list[float] = []
    async with connect(url) as http:
        await ready(http)
        level = await measure(
            http, workload(ANSWER_TOKENS), clients, requests, lambda: ends.append(time.perf_counter())
        )
    first, last = len(ends) // 5, len(ends) - len(ends) // 5 - 1
    return (last - first) / (ends[last] - ends[first]), level


@app.command("first-audio")
def first_audio_of(rounds: Annotated[int, typer.Option(help="Requests to each server.")] = 60) -> None:
    """Print what Ray adds to the time to first audio."""
    with tempfile.TemporaryDirectory() as directory, ray_cluster() as url:
        settings = settings_in(Path(directory), 64)
        load = pace(settings, GPU_STEP)
        deploy(settings, load, 1)
        with plain_server(settings, load) as plain:
            alone, behind = asyncio.run(first_audio([plain, url], rounds))
    added = sorted(there - here for here, there in zip(alone, behind, strict=True))
    console.print(
        f"Time to first audio, {rounds} requests by turns: plain {1000 * statistics.median(alone):.1f} ms, "
        f"behind Ray {1000 * statistics.median(behind):.1f} ms, median; added: "
        f"{1000 * statistics.median(added):.1f} ms, 95th percentile {1000 * added[int(0.95 * rounds)]:.1f} ms"
    )


@app.command("streams")
def streams_of(
    numbers: Annotated[list[int], typer.Argument(help="Streams at once.")],
    speed: Annotated[float, typer.Option(help="Of the engine, as a multiple of speech.")] = 3,
) -> None:
    """Print how many streams a server and a proxy of Ray carry without an underrun."""
    with tempfile.TemporaryDirectory() as directory, ray_cluster() as url:
        settings = settings_in(Path(directory), max(numbers))
        load = pace(settings, 0.02 / speed)
        deploy(settings, load, 1)
        with plain_server(settings, load) as plain:
            for number in numbers:
                for name, place in (("plain", plain), ("one proxy", url)):
                    summary = asyncio.run(streams(place, number))
                    first = summary.first_audio
                    console.print(
                        f"{number} streams, {name}: {summary.underruns} underruns, {summary.errors} errors, "
                        f"first audio p95 {first.p95 if first else 0:.2f} s"
                    )


@app.command()
def scaling(
    replicas: Annotated[list[int], typer.Argument(help="Numbers of replicas, rising.")],
    waves: Annotated[int, typer.Option(help="Answers of each slot.")] = 12,
    plot: Annotated[Path, typer.Option(help="The plot to write.")] = Path("cluster.png"),
) -> None:
    """Print and plot the throughput by number of replicas."""
    rates: list[float] = []
    with tempfile.TemporaryDirectory() as directory, ray_cluster() as url:
        settings = settings_in(Path(directory), SLOTS)
        load = pace(settings, ANSWER_SECONDS / ANSWER_TOKENS)
        for number in replicas:
            deploy(settings, load, number)
            slots = number * SLOTS
            rate, level = asyncio.run(throughput(url, 2 * slots, waves * slots))
            rates.append(rate)
            linear = rate / (rates[0] / replicas[0] * number)
            errors = Summary.of(level).errors
            console.print(f"{number} replicas: {rate:.2f} answers a second, {linear:.3f} x linear, {errors} errors")
    _plot(replicas, rates, plot)


def _plot(replicas: list[int], rates: list[float], file: Path) -> None:
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(replicas, [rates[0] / replicas[0] * number for number in replicas], ":", color="tab:gray", label="linear")
    axes.plot(replicas, rates, "o-", color="tab:blue", label="measured")
    axes.set(
        title="Replicas whose engines sleep at a GPU's pace, behind one Ray proxy, on two cores",
        xlabel="replicas",
        ylabel=f"answers per second; an engine takes {ANSWER_SECONDS:g} s for each, {SLOTS} at once",
        xticks=replicas,
        ylim=(0, None),
    )
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    app()
