"""What the commands share: messages on stderr, progress bars, and preparing the model."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from engine import EngineConfig
from engine import Progress as OnProgress
from engine import prepare as prepare_model


class _StandardError:
    """`sys.stderr`, without errors if it cannot be written, for example on a full disk."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(sys.stderr, name)


console = Console(
    file=cast("TextIO", _StandardError()), highlight=False, markup=False
)  # printed text can contain users' input


def prepare(config: EngineConfig) -> None:
    """Download and convert the model if necessary, with progress bars."""
    with progress_bar(f"Preparing {config.language_model or config.model}") as progress:
        prepare_model(config, progress)


@contextmanager
def progress_bar(description: str) -> Generator[OnProgress, None, None]:
    """A progress bar that is visible from the first report on."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=None, visible=False)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield report
