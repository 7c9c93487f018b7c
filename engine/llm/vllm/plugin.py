"""What each of vLLM's processes must know of our model: its name, through vLLM's entry point, and its order of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ARCHITECTURE = "FastSparkForCausalLM"


def register() -> None:
    """Tell vLLM where the architecture is; called in all its processes (`vllm.general_plugins` in pyproject.toml)."""
    from vllm import ModelRegistry

    ModelRegistry.register_model(ARCHITECTURE, f"engine.llm.vllm.architecture:{ARCHITECTURE}")


def embedding_permutation(ids: npt.NDArray[np.int64], embedding_rows: int) -> npt.NDArray[np.int64]:
    """The ids in the order of the embedding's rows, shape (embedding_rows,): audio rows first, then the rest."""
    return np.concatenate([ids, np.setdiff1d(np.arange(embedding_rows), ids)])
