"""Sharing of processors with other processes: short spin waits, a higher priority, or one thread fewer.

OpenMP's threads wait for each other at every layer. If other processes need the processors too, a spinning thread takes
the processor from the thread that it waits for. Measured on two cores with the full-size model, time for a sentence of
2 s, on an idle machine and beside two busy processes: 2.4 s and more than 20 s with OpenMP's defaults and two threads;
3.5 s and 5.7 s with one thread; 2.4 s and 2.8 s with two threads, short spin waits and a niceness of -10.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

SPINS = "1000"  # about 20 us: on idle processors most waits within a decode step are shorter
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def claim_processors(nice: int) -> None:
    """Set OpenMP's spin waits and the process's niceness.

    Must be called before torch is imported, which reads OpenMP's variables.

    OpenMP variables and a niceness other than 0 that the user has set do not change. A negative niceness needs root or
    CAP_SYS_NICE; without it, `default_threads` leaves one processor to other processes.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS
    if nice == 0 or os.getpriority(os.PRIO_PROCESS, 0) != 0:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except OSError:
        logger.info("The system does not permit a niceness of %d. One processor is left to other processes.", nice)


def default_threads(processors: int, quota_file: Path = CPU_MAX) -> int:
    """Return the number of compute threads: one per processor, but one fewer without a negative niceness.

    A container's limit (`docker run --cpus`) reduces the number of processors.
    """
    processors = min(processors, _quota(quota_file) or processors)
    return processors if os.getpriority(os.PRIO_PROCESS, 0) < 0 else max(1, processors - 1)


def _quota(file: Path) -> int | None:
    """Return the number of whole processors in the control group's quota, at least 1; None without a limit."""
    try:
        quota, period = file.read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return None
