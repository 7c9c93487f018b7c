"""Starts vLLM's engine as this project uses it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

# vLLM reads these when it is imported. A process with threads and a GPU cannot be forked safely, and it would send
# usage statistics.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")

from vllm.config import VllmConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, SchedulerStats

from engine.llm.vllm.plugin import ARCHITECTURE


def start(arguments: dict[str, Any], device: str, on_step: Callable[[int], None]) -> AsyncLLM:
    """Start the engine's process and wait until it has loaded the model.

    `arguments` are those of vLLM's AsyncEngineArgs. `device` is cuda or cpu. `on_step` is called with the number of
    ids that each step generated. Raises what vLLM raises, and ValueError if this build of vLLM is for another device.
    """
    if current_platform.device_type != device:
        raise ValueError(f"this build of vLLM is for {current_platform.device_type}, but llm_device is {device}")
    arguments["hf_overrides"] |= {"architectures": [ARCHITECTURE], "tie_word_embeddings": False}
    config = AsyncEngineArgs(
        **arguments,
        skip_tokenizer_init=True,
        generation_config="vllm",  # not the defaults in the checkpoint
        distributed_executor_backend="uni",  # the model runs in the engine's process, so both end together
        scheduling_policy="priority",
        enable_prefix_caching=False,  # prompts differ from their third id on
        disable_log_stats=True,
    ).create_engine_config()
    runner = "SecondRunnerGrammar" if config.use_v2_model_runner else "FirstRunnerGrammar"
    config.model_config.logits_processors = [f"engine.llm.vllm.logits_processor:{runner}"]

    class StepLogger(StatLoggerBase):
        """Calls `on_step` after each step that generated ids."""

        def __init__(self, vllm_config: VllmConfig, engine_index: int = 0) -> None:
            pass

        def record(
            self,
            scheduler_stats: SchedulerStats | None,
            iteration_stats: IterationStats | None,
            mm_cache_stats: object = None,
            engine_idx: int = 0,
        ) -> None:
            if iteration_stats is not None and iteration_stats.num_generation_tokens:
                on_step(iteration_stats.num_generation_tokens)

        def log_engine_initialized(self) -> None:
            pass

    return AsyncLLM.from_vllm_config(config, stat_loggers=[StepLogger], disable_log_stats=True)
