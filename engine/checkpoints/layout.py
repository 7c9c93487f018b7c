"""Finds or downloads a checkpoint, and verifies its layout before anything is loaded."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import platformdirs

from engine.checkpoints.download import alone, fetch
from engine.config import SPARK_TTS, Hub
from engine.errors import CheckpointError

DEMO = "demo"
"""The default model: a robot's voice of ten million weights, which is a part of this package."""

LAYOUT = (
    "config.yaml",
    "LLM/config.json",
    "LLM/model.safetensors",
    "LLM/tokenizer.json",
    "BiCodec/config.yaml",
    "BiCodec/model.safetensors",
    "wav2vec2-large-xlsr-53/config.json",
    "wav2vec2-large-xlsr-53/pytorch_model.bin",
)
"""The required files: a checkpoint that lacks one is incomplete."""

CODEC_LAYOUT = tuple(name for name in LAYOUT if not name.startswith("LLM/"))
"""The files that are required beside another language model."""

COMPANIONS = (
    "LLM/added_tokens.json",
    "LLM/merges.txt",
    "LLM/special_tokens_map.json",
    "LLM/tokenizer_config.json",
    "LLM/vocab.json",
    "wav2vec2-large-xlsr-53/preprocessor_config.json",
)
"""Small optional files, downloaded if the hub has them: converters and other backends read them."""


def cache_directory() -> Path:
    """The directory for downloaded and converted models: the user's cache, `$XDG_CACHE_HOME/fast-spark` on Linux."""
    return platformdirs.user_cache_path("fast-spark")


def downloaded(name: str) -> Path:
    """The directory of the model of this name once it has been downloaded."""
    return cache_directory() / "models" / name.replace("/", "--")


def is_hub_name(model: str) -> bool:
    """Whether `model` has the form OWNER/NAME that both hubs accept: neither part begins or ends with . or -."""
    part = r"\w(?:[\w.-]*\w)?"
    wellformed = re.fullmatch(f"{part}/{part}", model, re.ASCII) is not None
    return wellformed and ".." not in model and "--" not in model


def demo_directory() -> Path:
    """The directory of the demo model, which `demo/` in the repository trains."""
    return Path(__file__).parents[1] / "demo"


def locate(model: str | os.PathLike[str], hub: Hub = "huggingface", layout: Sequence[str] = LAYOUT) -> Path:
    """The directory of a checkpoint that has the files of `layout`.

    `model` is `demo`, a directory, or a name on `hub`, which is downloaded unless it was before. Raises
    CheckpointError, which says what is missing.
    """
    model = os.fspath(model)
    directory = demo_directory() if model == DEMO else Path(model).expanduser()
    if not directory.is_dir():
        if not is_hub_name(model):
            raise CheckpointError(
                f"There is no directory {model}. "
                f"Give a checkpoint's directory, {DEMO!r}, or a name such as {SPARK_TTS}."
            )
        directory = downloaded(model)
        if missing_files(directory, layout):
            download(model, hub, layout)
    verify(directory, layout)
    return directory


def download(name: str, hub: Hub, layout: Sequence[str] = LAYOUT) -> Path:
    """Download a checkpoint with the hub's own client, which shows progress bars; return its directory.

    An interrupted download is continued. Raises CheckpointError, in one line, if the name is malformed, if the hub does
    not have the model, denies access or cannot be reached, if the connection breaks, or if the disk has no room.
    """
    if not is_hub_name(name):
        raise CheckpointError(f"{name!r} is not the name of a model. Give OWNER/NAME, such as {SPARK_TTS}.")
    directory = downloaded(name)

    def select(there: Collection[str]) -> list[str]:
        if absent := [file for file in layout if file not in there]:
            raise CheckpointError(
                f"{name} on {hub} is not a Spark-TTS checkpoint: it has no {absent[0]}. Try {SPARK_TTS}."
            )
        folders = {file.rpartition("/")[0] for file in layout}
        return [*layout, *(file for file in COMPANIONS if file in there and file.rpartition("/")[0] in folders)]

    with alone(directory):
        fetch(name, hub, directory, select)
    verify(directory, layout)
    return directory


def local_models() -> list[tuple[str, Path]]:
    """The name and the directory of the demo and of each model in the cache, complete or not."""
    downloads = cache_directory() / "models"
    found = [(DEMO, demo_directory())]
    if downloads.is_dir():
        found += [(_name_of(path), path) for path in sorted(downloads.glob("[!.]*")) if path.is_dir()]
    return found


def missing_files(directory: str | os.PathLike[str], layout: Sequence[str] = LAYOUT) -> list[str]:
    """The files of the layout that the directory lacks."""
    return [name for name in layout if not (Path(directory) / name).is_file()]


def verify(directory: str | os.PathLike[str], layout: Sequence[str] = LAYOUT) -> None:
    """Raise CheckpointError, which names the first missing file, unless the layout is complete."""
    directory = Path(directory)
    if missing := missing_files(directory, layout):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        name = _name_of(directory)
        remedy = f" Continue with: fast-spark models download {name}" if directory == downloaded(name) else ""
        raise CheckpointError(
            f"{directory} is not a complete Spark-TTS checkpoint: {missing[0]} is missing{more}.{remedy}"
        )


def fingerprint(directory: str | os.PathLike[str], layout: Sequence[str] = LAYOUT) -> str:
    """A hash of the weights, which are needed to interpret a voice's tokens."""
    return digest((name, Path(directory) / name) for name in layout)


def digest(files: Iterable[tuple[str, Path]]) -> str:
    """A hash of files with their names.

    It covers each file's size, beginning and end; reading all 4 GB at each start would add little.
    """
    hashed = hashlib.sha256()
    edge = 1 << 16
    for name, path in files:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            hashed.update(f"{name}:{size};".encode())
            for position in (0, max(0, size - edge)):
                file.seek(position)
                hashed.update(file.read(edge))
    return hashed.hexdigest()[:32]


def _name_of(directory: Path) -> str:
    """The name on a hub of the model in a directory that `downloaded` returned."""
    return directory.name.replace("--", "/", 1)
