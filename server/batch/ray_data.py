"""Speaks the jobs of a batch on a Ray cluster: Ray Data gives them to actors, each with an engine of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import pickle
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from threading import Thread
from typing import Any

import ray
import ray.data
from ray.exceptions import RayError

from server.batch.jobs import Job
from server.batch.manifest import Entry
from server.batch.reading import BatchError
from server.batch.speaking import Narrator, Spoken
from server.cluster import connect, reason, refuse_local_voices, resources
from server.settings import Settings

LOGGERS = ("ray", "ray.data")

Rows = dict[str, Any]
"""A batch of Ray Data: lists or arrays of equal length."""


class NarratorActor:
    """One of Ray Data's actors. Ray Data calls it with several batches at once, in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._narrator = Narrator(settings)

    async def __call__(self, rows: Rows) -> Rows:
        """Speak a batch of jobs; raises BatchError if the engine has failed."""
        jobs = [pickle.loads(job) for job in rows["job"]]
        spoken = [line async for line in self._narrator.speak_all(jobs)]
        return {
            "entry": [json.dumps(asdict(line.entry)) for line in spoken],
            "audio": [line.audio for line in spoken],
            "subtitles": [json.dumps(line.subtitles) for line in spoken],
        }


async def on_cluster(settings: Settings, jobs: Sequence[Job], address: str) -> AsyncGenerator[Spoken, None]:
    """Speak the jobs on the cluster at `address`. A job is given to another actor if its own is lost.

    The audio comes back through Ray, so the nodes need no common file system. Raises BatchError if there is no such
    cluster, or if an engine has failed.
    """
    try:
        rows = _start(settings, jobs, address)  # in the main thread, as Ray wants it
        while (row := await _next(rows)) is not None:
            yield Spoken(Entry(**json.loads(row["entry"])), row["audio"], json.loads(row["subtitles"]))
    except RayError as error:
        raise BatchError(f"The cluster has stopped the run: {reason(str(error))}") from error
    finally:
        for name in LOGGERS:  # the thread of an interrupted run reports that Ray has ended
            logging.getLogger(name).setLevel(logging.CRITICAL)
        ray.shutdown()


async def _next(rows: Iterator[Rows]) -> Rows | None:
    """The next row, or None. Its thread may never wake after SIGINT, and does not keep the process from ending."""
    found: Future[Rows | None] = Future()
    found.set_running_or_notify_cancel()

    def wait() -> None:
        try:
            found.set_result(next(rows, None))
        except Exception as error:
            found.set_exception(error)

    Thread(target=wait, name="rows", daemon=True).start()
    return await asyncio.wrap_future(found)


def _start(settings: Settings, jobs: Sequence[Job], address: str) -> Iterator[Rows]:
    connect(address)
    refuse_local_voices(settings.engine)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    needed = resources(settings.engine)
    has = ray.cluster_resources()
    actors = max(1, min(int(has.get(name, 0) // amount) for name, amount in needed.items()))
    batch = 2 * settings.engine.max_running
    blocks = max(1, min(math.ceil(len(jobs) / batch), len(jobs)))
    dataset = ray.data.from_items([{"job": pickle.dumps(job)} for job in jobs], override_num_blocks=blocks)
    spoken = dataset.map_batches(
        NarratorActor,
        fn_constructor_args=(settings,),
        batch_size=batch,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors),
        num_cpus=needed.get("CPU"),
        num_gpus=needed.get("GPU"),
    )
    return iter(spoken.iter_rows())
