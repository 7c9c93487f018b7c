"""A hub's files, fetched with the hub's own client, and its many errors in one line each."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.config import SPARK_TTS, Hub
from engine.errors import CheckpointError

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


def fetch(name: str, hub: Hub, directory: Path, required: Sequence[str], wanted: Sequence[str]) -> None:
    """Bring a model's files to `directory`: those `required`, and those `wanted` where the hub has them.

    What is there already is not fetched again. Raises CheckpointError.
    """
    try:
        remote = _on_huggingface(name, directory) if hub == "huggingface" else _on_modelscope(name)
    except Exception as error:  # the clients raise errors of many libraries
        raise CheckpointError(_refusal(error, name, hub) or _unreachable(error, hub)) from error
    if absent := [file for file in required if file not in remote.sizes]:
        raise CheckpointError(f"{name} on {hub} is not a Spark-TTS checkpoint: it has no {absent[0]}. Try {SPARK_TTS}.")
    files = [file for file in (*required, *wanted) if file in remote.sizes]
    _check_space(directory, sum(remote.sizes[file] for file in files))
    try:
        remote.fetch(directory, files)
    except Exception as error:
        reason = _refusal(error, name, hub) or f"The connection to {hub} broke off ({_in_short(error)})."
        raise CheckpointError(f"{reason} Run the same command again to go on where it stopped.") from error


@contextmanager
def alone(directory: Path) -> Iterator[None]:
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


def _on_huggingface(name: str, directory: Path) -> Remote:
    from huggingface_hub import HfApi, snapshot_download

    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # what matters is in the error that is raised
    for half in (directory / ".cache").rglob("*.incomplete"):
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
            name, "model", cache_dir=directory.parent, local_dir=directory, allow_patterns=files, file_list=entries
        )

    return Remote({file.path: file.size for file in listing if not file.is_dir}, fetch)


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
