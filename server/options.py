"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings; see configs/.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="`demo`, a checkpoint's directory, or a name on a hub (downloaded).")
]
