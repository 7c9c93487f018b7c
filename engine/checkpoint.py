"""Where a checkpoint is: found, made or downloaded, and its layout verified before anything is loaded."""

from __future__ import annotations

import errno
import hashlib
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

ENDPOINT_VARIABLES: dict[Hub, str] = {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_ENDPOINT"}
TOKEN_VARIABLES: dict[Hub, str] = {"huggingface": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN"}
HUB_TIMEOUT = 20.0  # seconds until a hub that does not answer counts as unreachable
DISK_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remote:
    """A model on a hub: the size in bytes of each of its files, and how the hub's client fetches some of them."""

    sizes: dict[str, int]
    fetch: Callable[[Path, list[str]], object]


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
    """The demo model's directory; the model is made there if it, or a file of it, is missing."""
    directory = cache_directory() / "synthetic-small"
    if missing_files(directory):
        from engine.synthetic import write_checkpoint  # imports torch and transformers: only when it is needed

        with _alone(directory):
            if missing_files(directory):  # still: another process may have made it meanwhile
                shutil.rmtree(directory, ignore_errors=True)
                write_checkpoint(directory, "small", progress)
    return directory


def download(name: str, hub: Hub) -> Path:
    """Fetch a checkpoint's files with the hub's own client: with progress bars, and resumed where it stopped.

    Raises CheckpointError, in one line, if the name is no model's, if the hub has it not, refuses it, cannot be
    reached or breaks off, or if the disk cannot take it.
    """
    if not is_hub_name(name):
        raise CheckpointError(f"{name!r} is not a model's name: give OWNER/NAME, such as {SPARK_TTS}.")
    directory = downloaded(name)
    with _alone(directory):
        try:
            remote = _on_huggingface(name) if hub == "huggingface" else _on_modelscope(name)
        except Exception as error:  # the clients raise errors of many libraries
            raise CheckpointError(_refusal(error, name, hub) or _unreachable(error, hub)) from error
        if absent := [file for file in LAYOUT if file not in remote.sizes]:
            raise CheckpointError(
                f"{name} on {hub} is not a Spark-TTS checkpoint: it has no {absent[0]}. Try {SPARK_TTS}."
            )
        files = [file for file in (*LAYOUT, *COMPANIONS) if file in remote.sizes]
        _check_space(directory, sum(remote.sizes[file] for file in files))
        try:
            remote.fetch(directory, files)
        except Exception as error:
            reason = _refusal(error, name, hub) or f"The connection to {hub} broke off ({_in_short(error)})."
            raise CheckpointError(f"{reason} Run the same command again to go on where it stopped.") from error
    verify(directory)
    return directory


def local_models() -> list[tuple[str, Path]]:
    """The name and the directory of each model in the cache, whole or not."""
    demo_directory, downloads = cache_directory() / "synthetic-small", cache_directory() / "models"
    found = [(DEMO, demo_directory)] if demo_directory.is_dir() else []
    if downloads.is_dir():
        found += [(_name_of(path), path) for path in sorted(downloads.iterdir()) if path.is_dir()]
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


def _on_huggingface(name: str) -> Remote:
    from huggingface_hub import HfApi, snapshot_download

    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # what matters is in the error that is raised
    for half in (downloaded(name) / ".cache").rglob("*.incomplete"):
        half.unlink()  # of a killed process; the client would never go on with it, and it can be gigabytes
    info = HfApi().model_info(name, files_metadata=True, timeout=HUB_TIMEOUT)

    def fetch(directory: Path, files: list[str]) -> object:
        # By its commit: all files are of one version, and a hub that is gone is not taken for "nothing is new".
        return snapshot_download(name, revision=info.sha, local_dir=directory, allow_patterns=files)

    return Remote({file.rfilename: file.size or 0 for file in info.siblings or ()}, fetch)


def _on_modelscope(name: str) -> Remote:
    from modelscope_hub import HubApi  # what `modelscope` downloads with; that itself would import torch

    logging.getLogger("modelscope_hub").setLevel(logging.CRITICAL)
    api = HubApi()
    listing = api.list_repo_files(name, "model")
    entries = [{"Path": file.path, "Size": file.size or None, "Sha256": file.sha256} for file in listing]

    def fetch(directory: Path, files: list[str]) -> object:
        return api.download_repo(
            name, "model", cache_dir=cache_directory(), local_dir=directory, allow_patterns=files, file_list=entries
        )

    return Remote({file.path: file.size for file in listing if not file.is_dir}, fetch)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold `directory` for this process: two that fetched or made it at once would spoil each other's files."""
    from filelock import FileLock, Timeout

    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory.with_name(f".{directory.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.warning("Waiting for another process that fetches or makes %s.", directory)
            lock.acquire()
    except OSError as error:
        raise CheckpointError(_unwritable(error)) from error
    try:
        yield
    finally:
        lock.release()


def _check_space(directory: Path, needed: int) -> None:
    there = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    free = shutil.disk_usage(directory.parent).free
    if needed - there > free:
        raise CheckpointError(
            f"The download needs {(needed - there) / 1e9:.1f} GB and {directory.parent} has {free / 1e9:.1f} GB "
            f"free: make room, or set XDG_CACHE_HOME to a directory on another disk."
        )


def _refusal(error: BaseException, name: str, hub: Hub) -> str | None:
    """What the hub answered, or the disk, if the error or one behind it says so."""
    for behind in _causes(error):
        status = getattr(getattr(behind, "response", behind), "status_code", None)
        unknown = type(behind).__name__ == "RepositoryNotFoundError"  # Hugging Face answers 401 to who has no token
        if unknown or status == 404:
            return (
                f"There is no model {name} on {hub}, or it is private: check the name, which is such as {SPARK_TTS}; "
                f"for a private one set {TOKEN_VARIABLES[hub]}."
            )
        if status in (401, 403):
            return (
                f"{hub} does not let you have {name} ({status}): accept its conditions on its page there, "
                f"and set {TOKEN_VARIABLES[hub]} to a token that may read it."
            )
        if status is not None and status >= 400:
            return f"{hub} answered with an error ({status}); {ENDPOINT_VARIABLES[hub]} can name another address of it."
        if isinstance(behind, OSError) and behind.errno in DISK_ERRORS:
            return _unwritable(behind)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and, one after the other, those behind it."""
    while error is not None:
        yield error
        failed: dict[str, BaseException] = getattr(error, "failed_files", {})  # modelscope's, of all files
        error = next(iter(failed.values()), None) or error.__cause__ or error.__context__


def _unreachable(error: Exception, hub: Hub) -> str:
    return (
        f"{hub} cannot be reached ({_in_short(error)}): check the network, or set {ENDPOINT_VARIABLES[hub]} "
        f"to a mirror's address; then run the same command again."
    )


def _unwritable(error: OSError) -> str:
    return (
        f"The model cannot be written ({error.strerror or error}{f': {error.filename}' if error.filename else ''}): "
        f"make room or allow writing there, or set XDG_CACHE_HOME to another directory."
    )


def _in_short(error: BaseException) -> str:
    *_, root = _causes(error)
    text = getattr(root, "strerror", None) or str(root).strip() or type(root).__name__
    return text.splitlines()[0]
