"""The languages that a checkpoint speaks: `languages` in its config.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import yaml

from engine.errors import CheckpointError
from engine.text.language import Language

SPARK_TTS_LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
"""Those of the published model, whose config.yaml does not name them."""

_LANGUAGE = re.compile("[a-z]{2,3}")


def spoken_languages(directory: Path) -> tuple[Language, ...] | None:
    """The languages that the checkpoint in a directory says it speaks, None if it does not; raises CheckpointError."""
    file = directory / "config.yaml"
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{file}: cannot be read as YAML: {' '.join(str(error).split()):.200}") from error
    named = content.get("languages") if isinstance(content, dict) else None
    if named is None:
        return None
    if (
        not isinstance(named, list)
        or not named
        or not all(isinstance(n, str) and _LANGUAGE.fullmatch(n) for n in named)
    ):
        raise CheckpointError(f"{file}: languages must be a list of codes such as en and zh, not {named!r:.60}")
    return tuple(named)
