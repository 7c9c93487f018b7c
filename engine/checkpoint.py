"""Where a checkpoint is: found, made or downloaded, and its layout verified before anything is loaded."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import platformdirs

from engine.config import Hub
from engine.errors import CheckpointError
from engine.types import Progress

DEMO = "demo"
"""The model that is served when none is named: small and synthetic, made at first use."""

SPARK_TTS = "SparkAudio/Spark-TTS-0.5B"

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
"""The files that are read. A checkpoint has others too, which are not needed here."""


def cache_directory() -> Path:
    """Where models are kept: the user's cache, `$XDG_CACHE_HOME/fast-spark` on Linux."""
    return platformdirs.user_cache_path("fast-spark")


def downloaded(name: str) -> Path:
    """Where the model of this name on a hub is, once it has been downloaded."""
    return cache_directory() / "models" / name.replace("/", "--")


def is_hub_name(model: str) -> bool:
    """Whether `model` has the form OWNER/NAME."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", model) is not None


def locate(model: str, hub: Hub = "huggingface", progress: Progress = lambda done, total: None) -> Path:
    """The directory of a checkpoint whose layout is whole: the demo (made if need be), a path, or a hub's name.

    A name that was not downloaded before is downloaded now. Raises CheckpointError, which says what is missing.
    """
    if model == DEMO:
        return demo(progress)
    directory = Path(model).expanduser()
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


def demo(progress: Progress = lambda done, total: None) -> Path:
    """The demo model's directory; the model is made there if it is missing."""
    from engine.synthetic import write_checkpoint  # imports torch and transformers: only when it is needed

    directory = cache_directory() / "synthetic-small"
    if not directory.exists():
        write_checkpoint(directory, "small", progress)
    return directory


def download(name: str, hub: Hub) -> Path:
    """Fetch a checkpoint's files with the hub's own client: with progress bars, and resumed where it stopped.

    Raises CheckpointError if the hub has no such model, cannot be reached or breaks off.
    """
    directory = downloaded(name)
    try:
        if hub == "huggingface":
            import huggingface_hub

            huggingface_hub.snapshot_download(name, local_dir=directory, allow_patterns=list(LAYOUT))
        else:
            import modelscope

            modelscope.snapshot_download(name, local_dir=str(directory), allow_patterns=list(LAYOUT))
    except Exception as error:  # the clients raise errors of many libraries
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"{name} could not be downloaded from {hub}: {reason[0]} "
            f"Run the same command again to go on where it stopped."
        ) from error
    verify(directory)
    return directory


def local_models() -> list[tuple[str, Path]]:
    """The name and the directory of each model in the cache, whole or not."""
    demo_directory, downloads = cache_directory() / "synthetic-small", cache_directory() / "models"
    found = [(DEMO, demo_directory)] if demo_directory.is_dir() else []
    if downloads.is_dir():
        found += [(path.name.replace("--", "/", 1), path) for path in sorted(downloads.iterdir())]
    return found


def missing_files(directory: Path) -> list[str]:
    """The files of the layout that are not there."""
    return [name for name in LAYOUT if not (directory / name).is_file()]


def verify(directory: Path) -> None:
    """Raise CheckpointError, naming the first missing file, unless the layout is whole."""
    if missing := missing_files(directory):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise CheckpointError(f"{directory} is not a whole Spark-TTS checkpoint: {missing[0]} is missing{more}.")


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
