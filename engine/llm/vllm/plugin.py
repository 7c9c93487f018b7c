"""Registers the model's architecture in each of vLLM's processes, and defines the order of its embedding's rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ARCHITECTURE = "FastSparkForCausalLM"


def register() -> None:
    """Register the architecture; vLLM calls this in all its processes (`vllm.general_plugins` in pyproject.toml)."""
    from vllm import ModelRegistry

    ModelRegistry.register_model(ARCHITECTURE, f"engine.llm.vllm.architecture:{ARCHITECTURE}")


def embedding_permutation(ids: npt.NDArray[np.int64], embedding_rows: int) -> npt.NDArray[np.int64]:
    """The ids in the order of the embedding's rows, shape (embedding_rows,): first `ids`, then all others."""
    return np.concatenate([ids, np.setdiff1d(np.arange(embedding_rows), ids)])
