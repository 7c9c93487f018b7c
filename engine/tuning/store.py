"""Results of measurements, kept in the cache: one file for each host, checkpoint and set of versions."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import ValidationError

from engine.checkpoints import Checkpoint, cache_directory
from engine.config import EngineConfig
from engine.tuning.tables import Tuning

logger = logging.getLogger(__name__)

PACKAGES = ("fast-spark", "torch", "llama-cpp-python")
CPUINFO = Path("/proc/cpuinfo")


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
    threads = config.threads or [len(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, 0) < 0]
    parts = [processor(), capabilities, threads, config.max_running, versions(), checkpoint.fingerprint]
    return cache_directory() / "tuning" / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}.json"


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


def keep(checkpoint: Checkpoint, config: EngineConfig, tuning: Tuning) -> None:
    """Keep the result for `recall`. If the disk refuses it, the log says so."""
    file = result_file(checkpoint, config)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(tuning.model_dump_json(indent=1))
        temporary.replace(file)
    except OSError as error:
        logger.warning("The result of the measurements cannot be kept in %s: %s", file, error)
