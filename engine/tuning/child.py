"""What the process that measures does."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import torch

from engine.checkpoints import Checkpoint
from engine.codec.selection import kernel_directories
from engine.config import EngineConfig
from engine.errors import CheckpointError
from engine.llm.selection import Host
from engine.runtime.parent import end_with
from engine.runtime.processors import default_threads
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.tuning import store
from engine.tuning.codec import codec_rows, fused_row
from engine.tuning.language_model import language_model_rows
from engine.tuning.tables import Tuning

Message = Tuning | CheckpointError | str | None
"""What has been measured so far, why the rest was not, or the end."""

LAST_ROW = 22
"""Seconds before the end: no row of the language model begins later. It takes 5 to 10, and compiling activations 14."""
FUSED_ROW = 4
"""Seconds before the end: compiled activations are given up."""


def send_measurements(to: Connection, checkpoint: Checkpoint, config: EngineConfig, end: float, parent: int) -> None:
    """Send the result after each of its rows, so that what was measured is known if this process is killed.

    `parent` is the id of the process that started this one, and will kill it at `end`, a time of the monotonic clock.
    """
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends this process
    try:
        for tuning in measurements(checkpoint, config, end):
            to.send(tuning)
        to.send(None)
    except CheckpointError as error:
        to.send(error)
    except Exception as error:  # torch raises many types, for example without enough memory
        to.send(f"{type(error).__name__}: {error}")


def measurements(checkpoint: Checkpoint, config: EngineConfig, end: float) -> Iterator[Tuning]:
    """The growing result. What will not be finished at `end` is left out."""
    threads = config.threads or default_threads(torch.get_num_threads())
    torch.set_num_threads(threads)
    today = datetime.now(UTC).date().isoformat()
    found = Tuning(host=store.processor(), threads=threads, date=today, versions=store.versions())
    for row in codec_rows(checkpoint.directory):
        found = found.model_copy(update={"codec": (*found.codec, row)})
        yield found
    if config.backend != "remote" and not checkpoint.language_model.is_gguf:
        grammar = Grammar(Vocabulary(checkpoint.language_model.tokenizer))
        rows = language_model_rows(checkpoint, config, grammar, Host.this(), lambda: time.monotonic() > end - LAST_ROW)
        for candidate in rows:
            found = found.model_copy(update={"language_model": (*found.language_model, candidate)})
            yield found
    fused = fused_row(checkpoint.directory, found.codec, kernel_directories(), end - FUSED_ROW - time.monotonic())
    if fused is not None:
        yield found.model_copy(update={"codec": (*found.codec, fused)})
