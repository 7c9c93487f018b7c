"""Measures one checkpoint on this host, in a process of its own: its threads and memory end with it."""

from __future__ import annotations

import logging
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime

from engine.checkpoints import DEMO, Checkpoint, locate_checkpoint
from engine.config import EngineConfig
from engine.runtime.processors import default_threads
from engine.tuning import store
from engine.tuning.tables import LanguageModelRow, Tuning

logger = logging.getLogger(__name__)

START_SECONDS = 50
"""At a start, what is left when this time is up is not measured, so that it takes a minute at most."""
COMMAND_SECONDS = 300
"""Whoever asks for the measurement has more time."""


def tune(config: EngineConfig, *, again: bool = True) -> Tuning | None:
    """Measure the configured model on this host, and keep the result; blocks for a minute, on slow hosts for more.

    None if there is nothing to choose: the demo model, and models on a GPU. Also None if the process dies, as some
    builds of llama.cpp do on some hosts; the log says so. Unless `again`, nothing is measured if there is a result, and
    what does not fit in a minute is left out.
    Raises CheckpointError.
    """
    checkpoint = locate_checkpoint(config)
    if config.model == DEMO or _on_gpu(config) or (not again and store.recall(checkpoint, config)):
        return None
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        try:
            tuning = process.submit(_measure, checkpoint, config, COMMAND_SECONDS if again else START_SECONDS).result()
        except BrokenProcessPool:
            logger.warning("The process that measures this host has died. The defaults are used.")
            return None
    store.keep(checkpoint, config, tuning)
    return tuning


def _on_gpu(config: EngineConfig) -> bool:
    import torch

    return torch.cuda.is_available() or "cuda" in (config.llm_device[:4], config.codec_device[:4])


def _measure(checkpoint: Checkpoint, config: EngineConfig, seconds: float) -> Tuning:
    import torch

    from engine.codec.selection import kernel_directories
    from engine.llm.selection import Host
    from engine.tokens.grammar import Grammar
    from engine.tokens.vocabulary import Vocabulary
    from engine.tuning.codec import codec_rows, fused_row
    from engine.tuning.language_model import language_model_rows

    threads = config.threads or default_threads(torch.get_num_threads())
    torch.set_num_threads(threads)
    end = time.monotonic() + seconds
    codec = codec_rows(checkpoint.directory)
    grammar = Grammar(Vocabulary(checkpoint.language_model.tokenizer))
    language_model: list[LanguageModelRow] = []
    if config.backend != "remote" and not checkpoint.language_model.is_gguf:
        language_model = language_model_rows(checkpoint, config, grammar, Host.this(), lambda: time.monotonic() > end)
    fused = fused_row(checkpoint.directory, codec, kernel_directories(), end - time.monotonic())
    return Tuning(
        host=store.processor(),
        threads=threads,
        date=datetime.now(UTC).date().isoformat(),
        versions=store.versions(),
        codec=tuple(codec if fused is None else [*codec, fused]),
        language_model=tuple(language_model),
    )
