"""Results of measurements, kept in the cache: one file for each host, checkpoint and set of versions."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from engine.checkpoints import Checkpoint, cache_directory
from engine.config import EngineConfig
from engine.errors import EngineError
from engine.runtime.processors import default_threads
from engine.tuning.tables import Tuning

logger = logging.getLogger(__name__)

PACKAGES = ("fast-spark", "torch", "llama-cpp-python")
CPUINFO = Path("/proc/cpuinfo")
INSTRUCTIONS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that forbid torch and oneDNN some of the processor's instructions."""


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        names = [line.partition(":")[2] for line in CPUINFO.read_text().splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The versions of what computes, without packages that are not installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def host_and_versions() -> tuple[str, list[str]]:
    """The processor with the number of cores that this process may use, and `package version` of what computes."""
    cores = len(os.sched_getaffinity(0))
    return f"{processor()}, {cores} cores", [f"{package} {number}" for package, number in versions().items()]


def result_file(checkpoint: Checkpoint, config: EngineConfig) -> Path:
    """The file for this checkpoint and these settings on this host."""
    import torch

    # Hosts with the same processor can hide some of its instruction sets.
    capabilities = sorted(name for name, value in torch.cpu.get_capabilities().items() if value is True)
    limits = {name: os.environ[name] for name in INSTRUCTIONS if name in os.environ}
    threads = config.threads or default_threads(_processors())
    settings = [threads, config.max_running, config.backend]
    parts = [processor(), capabilities, limits, settings, versions(), checkpoint.fingerprint]
    return cache_directory() / "tuning" / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}.json"


def _processors() -> int:
    """How many the libraries use by default."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) else len(os.sched_getaffinity(0))


def recall(checkpoint: Checkpoint, config: EngineConfig) -> Tuning | None:
    """The result for this checkpoint and these settings on this host; None if there is none that can be read."""
    file = result_file(checkpoint, config)
    try:
        return Tuning.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        logger.warning("The result of earlier measurements in %s cannot be read: %s", file, error)
        return None


@contextmanager
def measuring(checkpoint: Checkpoint, config: EngineConfig, seconds: float) -> Iterator[None]:
    """Hold the lock of a measurement whose result can be kept: two at once would disturb each other.

    Waits for another process that measures the same. Raises EngineError if that takes more than `seconds`, and if the
    cache cannot be written.
    """
    file = result_file(checkpoint, config)
    lock = FileLock(file.with_suffix(".lock"), timeout=seconds)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise EngineError("Another process measures this host, and has not finished.") from error
    except OSError as error:
        raise EngineError(
            f"This host was not measured: {file.parent} cannot be written: {error.strerror or error}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def keep(checkpoint: Checkpoint, config: EngineConfig, tuning: Tuning) -> None:
    """Keep the result for `recall`. If the disk refuses it, the log says so."""
    file = result_file(checkpoint, config)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as made:
            complete = Path(made) / file.name
            complete.write_text(tuning.model_dump_json(indent=1))
            complete.replace(file)
    except OSError as error:
        logger.warning("The result of the measurements cannot be kept in %s: %s", file, error)
