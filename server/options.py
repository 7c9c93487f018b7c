"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from server.settings import Settings, load_settings

ConfigOption = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings; see configs/.")]
LanguageModelOption = Annotated[
    str | None,
    typer.Option(
        "--language-model", help="A language model instead of the model's own: a directory, a GGUF file, a hub's name."
    ),
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="`demo`, a checkpoint's directory, or a name on a hub (downloaded).")
]


def command_settings(
    config: Path | None, model: str | None, language_model: str | None = None, **flags: str | int | None
) -> Settings:
    """The settings of a command; flags have precedence."""
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    models = {"model": model, "language_model": language_model}
    if engine := {name: value for name, value in models.items() if value is not None}:
        given["engine"] = engine
    return load_settings(config, given)
