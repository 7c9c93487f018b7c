"""`fast-spark text`: what would be spoken of a text, without a model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from engine import EngineConfig, TextOptions, spoken_sentences
from server.languages import spoken_language


def text(
    text: Annotated[str, typer.Argument(help="The text.")],
    language: Annotated[str | None, typer.Option(help="How digits alone are read: en or zh.")] = None,
    emoji: Annotated[bool, typer.Option("--emoji", help="Read the names of emoji.")] = False,
) -> None:
    """Print what would be spoken, a sentence a line, and below it what was changed and by which rule."""
    options = TextOptions(language=spoken_language(language), emoji="name" if emoji else "drop")
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for sentence in spoken_sentences(text, EngineConfig().reading(options)):
        console.print(sentence.text)
        for change in sentence.changes:
            console.print(f"    {change.rule}: {change.written} -> {change.spoken or '(left out)'}")
