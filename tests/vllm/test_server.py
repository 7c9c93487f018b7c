"""vLLM's own server, for real, on its build for CPUs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.llm.remote.contract import CONTEXT, SLOTS, RealServer, RemoteServerContract, started, wider_heads

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # two threads of a small model wait for each other more than they compute
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@pytest.fixture(scope="module")
def checkpoint(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wider_heads(small_checkpoint, tmp_path_factory.mktemp("vllm") / "small")


@pytest.fixture(scope="module")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    log = tmp_path_factory.mktemp("vllm-server") / "log"
    # What `vllm serve` runs; that command itself looks for a package `vllm`, and the build for CPUs has another name.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint / "LLM")]
    command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT)]
    command += ["--max-num-seqs", str(SLOTS)]
    with started("vllm", command, log, "vllm:iteration_tokens_total_count", ENVIRONMENT) as real:
        yield real


@pytest.mark.timeout(600)
class TestVllmServer(RemoteServerContract):
    pass
