"""The command `fast-spark tune`, and the measurement at the first start of a model on a host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from engine import EngineConfig, Tuning, claim_processors, tune
from server.bench.markdown import record
from server.options import ConfigOption, LanguageModelOption, ModelOption, command_settings

BEST = "chosen"


def measure(
    config: ConfigOption = None,
    model: ModelOption = None,
    language_model: LanguageModelOption = None,
    file: Annotated[Path | None, typer.Option("--record", help="A Markdown file to append the tables to.")] = None,
) -> None:
    """Measure which form of a model is fastest on this host, and keep the result for the server: about a minute."""
    settings = command_settings(config, model, language_model)
    claim_processors(settings.nice)
    console = Console(markup=False)
    tuning = tune_with_table(settings.engine, console, again=True)
    if tuning is None:
        console.print("There is nothing to choose for this model here: it is the demo model, or it runs on a GPU.")
    elif file is not None:
        record(file, "fast-spark tune --model DIR", tables(tuning))


def tune_with_table(config: EngineConfig, console: Console, *, again: bool) -> Tuning | None:
    """Measure the model, and print and return the result. See `engine.tune`."""
    with console.status("Measuring which form of the model is fastest on this host; this takes a minute, once"):
        tuning = tune(config, again=again)
    for table in tables(tuning) if tuning else ():
        console.print(table)
    return tuning


def tables(tuning: Tuning) -> list[Table]:
    """The result as tables: the codec's decoder, and the language model if it was measured."""
    host = f"{tuning.host}, {tuning.threads} threads"
    windows = sorted({window for row in tuning.codec for window in row.seconds})
    headers = ("codec", *(f"{window} frames" for window in windows), "signal to noise", "")
    codec = Table(*headers, title=f"{host}: seconds for a second of audio")
    for row in tuning.codec:
        name = ", ".join((row.precision, *["not all packed"] * bool(row.plain), *["compiled activations"] * row.fused))
        noise = "" if row.snr is None else f"{row.snr:.1f} dB"
        seconds = [f"{row.seconds[window]:.3f}" for window in windows]
        codec.add_row(name, *seconds, noise, BEST if row == tuning.best_codec() else "")
    widths = sorted({width for row in tuning.language_model for width in row.rates})
    headers = ("language model", *map(str, widths), "divergence", "")
    model = Table(*headers, title="tokens per second of all sequences, by their number")
    for candidate in tuning.language_model:
        rates = [f"{candidate.rates[width]:.0f}" for width in widths]
        chosen = BEST if candidate == tuning.best_language_model() else ""
        model.add_row(f"{candidate.backend} {candidate.precision}", *rates, f"{candidate.divergence:.4f}", chosen)
    return [table for table in (codec, model) if table.row_count]
