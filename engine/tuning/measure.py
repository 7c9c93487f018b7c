"""Measures one checkpoint on this host, in a process of its own: its threads and memory end with it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from multiprocessing.connection import Connection

from engine.checkpoints import DEMO, Checkpoint, locate_checkpoint
from engine.config import EngineConfig
from engine.errors import CheckpointError, EngineError
from engine.tuning import store
from engine.tuning.tables import Tuning

logger = logging.getLogger(__name__)

START_SECONDS = 60
"""At a start the process that measures is killed when this time is up."""
COMMAND_SECONDS = 300
"""Whoever asks for the measurement has more time."""


def tune(config: EngineConfig, *, again: bool = True) -> Tuning | None:
    """Measure the configured model on this host, and keep the result; blocks for a minute, on slow hosts for more.

    None if there is nothing to choose: the demo model, and models on a GPU. If the process that measures dies, as some
    builds of llama.cpp do on some hosts, the result has what was measured before.

    Unless `again`, this is for a start of the model: nothing is measured if there is a result, or if another process
    makes it now, which is waited for. What does not fit in a minute is left out. If nothing can be measured or kept,
    the log says so.

    Raises CheckpointError and, with `again`, EngineError if nothing could be measured or kept.
    """
    checkpoint = locate_checkpoint(config)
    if config.model == DEMO or _on_gpu(config) or (not again and store.recall(checkpoint, config)):
        return None
    try:
        return _measure(checkpoint, config, COMMAND_SECONDS if again else START_SECONDS, again=again)
    except CheckpointError:
        raise
    except EngineError as error:
        if again:
            raise
        logger.warning("%s The defaults are used.", error)
        return None


def _on_gpu(config: EngineConfig) -> bool:
    import torch

    return torch.cuda.is_available() or "cuda" in (config.llm_device[:4], config.codec_device[:4])


def _measure(checkpoint: Checkpoint, config: EngineConfig, seconds: float, *, again: bool) -> Tuning | None:
    with store.measuring(checkpoint, config, seconds):
        if not again and store.recall(checkpoint, config):  # another process has measured meanwhile
            return None
        tuning = _in_own_process(checkpoint, config, seconds)
        store.keep(checkpoint, config, tuning)
        return tuning


def _in_own_process(checkpoint: Checkpoint, config: EngineConfig, seconds: float) -> Tuning:
    from engine.tuning.child import send_measurements

    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    end = time.monotonic() + seconds
    arguments = (sender, checkpoint, config, end, os.getpid())
    process = context.Process(target=send_measurements, args=arguments, daemon=True)
    process.start()
    sender.close()
    try:
        return received(receiver, end)
    finally:
        process.kill()
        process.join()


def received(receiver: Connection, end: float) -> Tuning:
    """The last result that comes until `end`, a time of the monotonic clock; see `child.Message`.

    If the rest does not come, the log says why. Raises EngineError if there is no result.
    """
    found: Tuning | None = None
    reason = "there was no time for it"
    while receiver.poll(max(0, end - time.monotonic())):
        try:
            message = receiver.recv()
        except EOFError:
            message = "the process that measures has died"
        if isinstance(message, CheckpointError):
            raise message
        if isinstance(message, Tuning):
            found = message
            continue
        reason = message
        break
    if found is None:
        raise EngineError(f"This host was not measured: {reason}.")
    if reason is not None:
        logger.warning("Not everything was measured: %s. `fast-spark tune` measures again.", reason)
    return found
