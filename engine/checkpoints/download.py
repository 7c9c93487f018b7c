"""Downloads files with each hub's own client, and turns its errors into messages of one line."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.config import SPARK_TTS, Hub
from engine.errors import CheckpointError

ENDPOINT_VARIABLES: dict[Hub, str] = {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_ENDPOINT"}
TOKEN_VARIABLES: dict[Hub, str] = {"huggingface": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN"}
HUB_TIMEOUT = 20.0  # seconds after which a hub counts as unreachable
DISK_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remote:
    """A model on a hub: the size of each file in bytes, and a function that downloads files to a directory."""

    sizes: dict[str, int]
    fetch: Callable[[Path, list[str]], object]


def fetch(name: str, hub: Hub, directory: Path, select: Callable[[Collection[str]], list[str]]) -> None:
    """Download files of a model to `directory`.

    `select` returns the files to download, from the names of those that the hub has; it raises CheckpointError if the
    model is of another kind. Files that exist are not downloaded again. Raises CheckpointError.
    """
    try:
        remote = _on_huggingface(name, directory) if hub == "huggingface" else _on_modelscope(name)
    except Exception as error:  # the clients raise errors of many libraries
        raise CheckpointError(_refusal(error, name, hub) or _unreachable(error, hub)) from error
    files = select(remote.sizes)
    _check_space(directory, sum(remote.sizes[file] for file in files))
    try:
        remote.fetch(directory, files)
    except Exception as error:
        reason = _refusal(error, name, hub) or f"The connection to {hub} was lost ({_in_short(error)})."
        raise CheckpointError(f"{reason} Run the same command again to continue the download.") from error


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Lock `directory` for this process: two processes that write it at once would corrupt the files."""
    from filelock import FileLock, Timeout

    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory.with_name(f".{directory.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.warning("Waiting for another process that writes %s.", directory)
            lock.acquire()
    except OSError as error:
        raise CheckpointError(_unwritable(error)) from error
    try:
        yield
    finally:
        lock.release()


def _on_huggingface(name: str, directory: Path) -> Remote:
    from huggingface_hub import HfApi, snapshot_download

    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # the error that is raised says enough
    for half in (directory / ".cache").rglob("*.incomplete"):
        half.unlink()  # from a killed process; the client never continues it, and it can be gigabytes
    info = HfApi().model_info(name, files_metadata=True, timeout=HUB_TIMEOUT)

    def fetch(directory: Path, files: list[str]) -> object:
        # With the commit all files have one version, and the client does not take an unreachable hub for "no changes".
        return snapshot_download(name, revision=info.sha, local_dir=directory, allow_patterns=files)

    return Remote({file.rfilename: file.size or 0 for file in info.siblings or ()}, fetch)


def _on_modelscope(name: str) -> Remote:
    from modelscope_hub import HubApi  # the downloads of `modelscope`, which itself imports torch

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
            f"The download needs {(needed - there) / 1e9:.1f} GB, and {directory.parent} has {free / 1e9:.1f} GB "
            f"free. Make room, or set XDG_CACHE_HOME to a directory on another disk."
        )


def _refusal(error: BaseException, name: str, hub: Hub) -> str | None:
    """The message for an error of the hub or the disk; None if neither this error nor a cause of it is one."""
    for behind in _causes(error):
        status = getattr(getattr(behind, "response", behind), "status_code", None)
        unknown = type(behind).__name__ == "RepositoryNotFoundError"  # with 401, where there is no token
        if unknown or status == 404:
            return (
                f"There is no model {name} on {hub}, or it is private. Check the name (an example is {SPARK_TTS}), "
                f"or set {TOKEN_VARIABLES[hub]} for a private model."
            )
        if status in (401, 403):
            return (
                f"{hub} denies access to {name} ({status}). Accept the model's conditions on its page there, "
                f"and set {TOKEN_VARIABLES[hub]} to a token that can read it."
            )
        if status is not None and status >= 400:
            return f"{hub} answered with an error ({status}). {ENDPOINT_VARIABLES[hub]} can name a mirror of it."
        if isinstance(behind, OSError) and behind.errno in DISK_ERRORS:
            return _unwritable(behind)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, then its cause, then the cause of that, and so on."""
    while error is not None:
        yield error
        failed: dict[str, BaseException] = getattr(error, "failed_files", {})  # modelscope's errors, by file
        error = next(iter(failed.values()), None) or error.__cause__ or error.__context__


def _unreachable(error: Exception, hub: Hub) -> str:
    return (
        f"{hub} cannot be reached ({_in_short(error)}). Check the network, or set {ENDPOINT_VARIABLES[hub]} "
        f"to a mirror's address. Then run the same command again."
    )


def _unwritable(error: OSError) -> str:
    return (
        f"The model cannot be written ({error.strerror or error}{f': {error.filename}' if error.filename else ''}). "
        f"Make room or allow writing there, or set XDG_CACHE_HOME to another directory."
    )


def _in_short(error: BaseException) -> str:
    *_, root = _causes(error)
    text = getattr(root, "strerror", None) or str(root).strip() or type(root).__name__
    return text.splitlines()[0]
