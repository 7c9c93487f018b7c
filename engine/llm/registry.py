"""Backends by name; what one of them needs is imported when it is chosen, and not before."""

from __future__ import annotations

from pathlib import Path

from engine.compute import Compute, here
from engine.config import EngineConfig
from engine.llm.base import LanguageModel
from engine.vocabulary import Vocabulary


def load_language_model(
    checkpoint: Path,
    config: EngineConfig,
    vocabulary: Vocabulary,
    cores: Compute = here,
) -> LanguageModel:
    """Load `LLM/` of a checkpoint into the backend that the configuration names; raises CheckpointError.

    `cores` says where a backend that computes on this machine's cores does so.
    """
    match config.backend:
        case "torch":
            from engine.devices import resolve
            from engine.llm.grammar import Grammar
            from engine.llm.scheduler import Scheduler
            from engine.llm.torch_backend import TorchStepper

            grammar = Grammar(vocabulary)
            device, dtype = resolve(config.llm_device, config.llm_precision)
            stepper = TorchStepper(
                checkpoint / "LLM",
                grammar.ids,
                slots=config.max_running,
                context=config.max_context,
                device=device,
                dtype=dtype,
            )
            return Scheduler(stepper, grammar, cores if device.type == "cpu" else here)
