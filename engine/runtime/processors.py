"""How this process shares its processors with others: short waits, a higher priority, or one thread fewer.

OpenMP's threads wait for each other at every layer. A thread that spins while it waits takes the processor from the
thread that it waits for, as soon as other processes want the processors too. Measured on two cores at full size, time
for a sentence of 2 s, idle and beside two busy processes: with OpenMP's own settings and two threads 2.4 s and more
than 20 s; with one thread 3.5 s and 5.7 s; with two threads, short waits and a niceness of -10 2.4 s and 2.8 s.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

SPINS = "1000"  # about 20 us: on idle processors most waits within a decode step are shorter
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def claim_processors(nice: int) -> None:
    """Set how OpenMP waits, and the niceness of the process; call it before torch is imported, which reads the first.

    What the user has set stays: OpenMP's variables, and a niceness other than 0. A negative niceness needs root or
    CAP_SYS_NICE; without it `default_threads` leaves a processor to the other processes.
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
    """Threads to compute with: one for each of the processors, but one fewer without a negative niceness.

    A container's limit (`docker run --cpus`) counts as fewer processors.
    """
    processors = min(processors, _quota(quota_file) or processors)
    return processors if os.getpriority(os.PRIO_PROCESS, 0) < 0 else max(1, processors - 1)


def _quota(file: Path) -> int | None:
    """Whole processors that the control group allows, at least 1; None without a limit."""
    try:
        quota, period = file.read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return None
