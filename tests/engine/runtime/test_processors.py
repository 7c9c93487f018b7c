"""How many threads compute, and what the process asks of the system, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.runtime.processors import default_threads


def in_process(code: str, nice: int = 0, **variables: str) -> str:
    """What the code prints in a process of its own with this niceness."""
    free = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", f"import os; os.setpriority(os.PRIO_PROCESS, 0, {nice})\n{code}"]
    return subprocess.run(command, env=free | variables, capture_output=True, text=True, check=True).stdout.strip()


CLAIM = """
from engine import claim_processors
import sys
claim_processors(-10)
print(os.getpriority(os.PRIO_PROCESS, 0), os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""
THREADS = "from engine.runtime.processors import default_threads\nprint(default_threads(8), default_threads(1))"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="a negative niceness needs root")


@root_only
def test_a_privileged_process_is_preferred_and_waits_briefly() -> None:
    assert in_process(CLAIM) == "-10 1000 False"


@root_only
def test_what_the_user_set_stays() -> None:
    assert in_process(CLAIM, nice=5, OMP_WAIT_POLICY="active") == "5 None False"


@root_only
def test_a_process_without_the_privilege_leaves_a_processor_to_others() -> None:
    drop = "os.setgid(65534); os.setuid(65534)\n"
    assert in_process(f"from engine import claim_processors\n{drop}{CLAIM}") == "0 1000 False"
    assert in_process(THREADS) == "7 1"
    assert in_process(THREADS, nice=-10) == "8 1"


@pytest.mark.parametrize(("limit", "threads"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)])
def test_a_containers_limit_counts(tmp_path: Path, limit: str, threads: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(limit)
    fewer = 0 if os.getpriority(os.PRIO_PROCESS, 0) < 0 else 1
    assert default_threads(8, file) == max(1, threads - fewer)
