"""What can be done before an engine is loaded: fetching a model, and converting it for its backend."""

from __future__ import annotations

from pathlib import Path

from engine import checkpoint
from engine.config import EngineConfig, Hub, Quantization
from engine.types import Progress


def prepare(config: EngineConfig, progress: Progress) -> None:
    """Make sure that the model is on this machine, and in the form that its backend needs, so that `load` is quick.

    Raises CheckpointError.
    """
    from engine.llm import registry  # brings torch along

    registry.prepare(checkpoint.locate(config.model, config.hub), config, progress)


def convert(
    model: str,
    hub: Hub,
    quantization: Quantization,
    progress: Progress = lambda done, total: None,
    *,
    server: bool = False,
) -> Path:
    """Convert a model's language model for llama.cpp, or for its own server, if need be; return the file.

    Raises CheckpointError.
    """
    from engine.llm import registry  # brings torch along

    return registry.convert(checkpoint.locate(model, hub), quantization, progress, server=server)
