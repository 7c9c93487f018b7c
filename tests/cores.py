"""A plugin for pytest's workers (pytest-xdist): each has cores of its own, and so have the processes that it starts.

Processes whose threads compute on the same cores would wait for each other at every step.
"""

import os


def pytest_load_initial_conftests() -> None:
    """Before the first import of torch, which counts the cores."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        cores = sorted(os.sched_getaffinity(0))
        own = cores[int(worker.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]
        os.sched_setaffinity(0, own or cores)
