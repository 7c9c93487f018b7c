"""`fast-spark text`: prints the normalized text, without a model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from engine import TextOptions, spoken_language, spoken_sentences
from server.options import ConfigOption
from server.settings import load_settings


def text(
    text: Annotated[str, typer.Argument(help="The text.")],
    config: ConfigOption = None,
    language: Annotated[str | None, typer.Option(help="A BCP 47 tag; it decides how numbers are read.")] = None,
    emoji: Annotated[bool, typer.Option("--emoji", help="Read the names of emoji.")] = False,
) -> None:
    """Print the normalized text, one sentence per line. Below each sentence: its changes and their rules."""
    options = TextOptions(language=spoken_language(language), emoji="name" if emoji else "drop")
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for sentence in spoken_sentences(text, load_settings(config).engine.reading(options)):
        console.print(sentence.text)
        for change in sentence.changes:
            console.print(f"    {change.rule}: {change.written} -> {change.spoken or '(left out)'}")
