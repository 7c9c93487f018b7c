"""Where a checkpoint is: found or downloaded, and its layout verified before anything is loaded."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import platformdirs

from engine.checkpoints.download import alone, fetch
from engine.config import SPARK_TTS, Hub
from engine.errors import CheckpointError

DEMO = "demo"
"""The model that is served when none is named: a robot's voice of a few million weights, which comes along."""

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
"""The files that are read: a checkpoint without one of them is not whole."""

COMPANIONS = (
    "LLM/added_tokens.json",
    "LLM/merges.txt",
    "LLM/special_tokens_map.json",
    "LLM/tokenizer_config.json",
    "LLM/vocab.json",
    "wav2vec2-large-xlsr-53/preprocessor_config.json",
)
"""Small files that are fetched too where a hub has them: converters and other backends look for them."""


def cache_directory() -> Path:
    """Where models are kept: the user's cache, `$XDG_CACHE_HOME/fast-spark` on Linux."""
    return platformdirs.user_cache_path("fast-spark")


def downloaded(name: str) -> Path:
    """Where the model of this name on a hub is, once it has been downloaded."""
    return cache_directory() / "models" / name.replace("/", "--")


def is_hub_name(model: str) -> bool:
    """Whether `model` has the form OWNER/NAME, as both hubs take it: neither part begins or ends with . or -."""
    part = r"\w(?:[\w.-]*\w)?"
    wellformed = re.fullmatch(f"{part}/{part}", model, re.ASCII) is not None
    return wellformed and ".." not in model and "--" not in model


def demo_directory() -> Path:
    """Where the demo model is; `demo/` in the repository trains it."""
    return Path(__file__).parents[1] / "demo"


def locate(model: str | os.PathLike[str], hub: Hub = "huggingface") -> Path:
    """The directory of a checkpoint whose layout is whole: the demo's, a path, or a hub's name.

    A name that was not downloaded before is downloaded now. Raises CheckpointError, which says what is missing.
    """
    model = os.fspath(model)
    directory = demo_directory() if model == DEMO else Path(model).expanduser()
    if not directory.is_dir():
        if not is_hub_name(model):
            raise CheckpointError(
                f"There is no directory {model}: "
                f"give a checkpoint's directory, {DEMO!r}, or a name such as {SPARK_TTS}."
            )
        directory = downloaded(model)
        if missing_files(directory):
            download(model, hub)
    verify(directory)
    return directory


def download(name: str, hub: Hub) -> Path:
    """Fetch a checkpoint's files with the hub's own client: with progress bars, and resumed where it stopped.

    Raises CheckpointError, in one line, if the name is no model's, if the hub has it not, refuses it, cannot be
    reached or breaks off, or if the disk cannot take it.
    """
    if not is_hub_name(name):
        raise CheckpointError(f"{name!r} is not a model's name: give OWNER/NAME, such as {SPARK_TTS}.")
    directory = downloaded(name)
    with alone(directory):
        fetch(name, hub, directory, LAYOUT, COMPANIONS)
    verify(directory)
    return directory


def local_models() -> list[tuple[str, Path]]:
    """The name and the directory of the demo and of each model in the cache, whole or not."""
    downloads = cache_directory() / "models"
    found = [(DEMO, demo_directory())]
    if downloads.is_dir():
        found += [(_name_of(path), path) for path in sorted(downloads.glob("[!.]*")) if path.is_dir()]
    return found


def missing_files(directory: Path) -> list[str]:
    """The files of the layout that are not there."""
    return [name for name in LAYOUT if not (directory / name).is_file()]


def verify(directory: Path) -> None:
    """Raise CheckpointError, naming the first missing file, unless the layout is whole."""
    if missing := missing_files(directory):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        name = _name_of(directory)
        mend = f" Go on with: fast-spark models download {name}" if directory == downloaded(name) else ""
        raise CheckpointError(f"{directory} is not a whole Spark-TTS checkpoint: {missing[0]} is missing{more}.{mend}")


def fingerprint(directory: Path) -> str:
    """A name for these very weights: tokens that were made with other ones mean something else.

    Hashes each file's size, beginning and end; reading 4 GB at each start would tell hardly more.
    """
    digest = hashlib.sha256()
    edge = 1 << 16
    for name in LAYOUT:
        with (directory / name).open("rb") as file:
            size = file.seek(0, 2)
            digest.update(f"{name}:{size};".encode())
            for position in (0, max(0, size - edge)):
                file.seek(position)
                digest.update(file.read(edge))
    return digest.hexdigest()[:32]


def _name_of(directory: Path) -> str:
    """The name on a hub of what `downloaded` put here."""
    return directory.name.replace("--", "/", 1)
