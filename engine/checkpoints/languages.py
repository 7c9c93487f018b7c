"""What a checkpoint reads: `languages`, `spelling` and `transcripts` in its config.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from engine.errors import CheckpointError
from engine.text.language import Language
from engine.text.pinyin import spelled

SPARK_TTS_LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
"""Those of the published model, whose config.yaml does not name them."""

_LANGUAGE = re.compile("[a-z]{2,3}")


def spoken_languages(directory: Path) -> tuple[Language, ...] | None:
    """The languages that the checkpoint in a directory says it speaks, None if it does not; raises CheckpointError."""
    named = _configuration(directory).get("languages")
    if named is None:
        return None
    if (
        not isinstance(named, list)
        or not named
        or not all(isinstance(n, str) and _LANGUAGE.fullmatch(n) for n in named)
    ):
        raise CheckpointError(
            f"{directory / 'config.yaml'}: languages must be a list of codes such as en and zh, not {named!r:.60}"
        )
    return tuple(named)


def spelling(directory: Path) -> Callable[[str], str]:
    """How texts are written for the checkpoint in a directory: as they are, or Chinese as pinyin.

    Raises CheckpointError.
    """
    named = _configuration(directory).get("spelling")
    if named not in (None, "pinyin"):
        raise CheckpointError(f"{directory / 'config.yaml'}: spelling must be pinyin if it is there, not {named!r:.60}")
    return str if named is None else spelled


def uses_transcripts(directory: Path) -> bool:
    """Whether the checkpoint in a directory goes on from samples with their transcripts; raises CheckpointError."""
    named = _configuration(directory).get("transcripts", True)
    if not isinstance(named, bool):
        raise CheckpointError(f"{directory / 'config.yaml'}: transcripts must be true or false, not {named!r:.60}")
    return named


def _configuration(directory: Path) -> dict[str, Any]:
    file = directory / "config.yaml"
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{file}: cannot be read as YAML: {' '.join(str(error).split()):.200}") from error
    return content if isinstance(content, dict) else {}
