"""The output of a batch: audio files, and a manifest with an entry for each line, written after its file."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from server.batch.reading import BatchError

NAME = "manifest.jsonl"
PARQUET = "manifest.parquet"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest has of a line: its file, relative to the manifest, or an error.

    `seconds` is the length of the audio, `size` that of the file in bytes. `takes` counts the takes that were judged,
    of all its sentences; `warnings` names the sentences of which none passed. `digest` identifies the line's content.
    """

    id: str
    path: str | None = None
    seconds: float | None = None
    voice: str | None = None
    seed: int | None = None
    takes: int | None = None
    warnings: str | None = None
    error: str | None = None
    size: int | None = None
    digest: str | None = None


ENTRY = TypeAdapter(Entry)


class Output:
    """The output's directory, which no other run uses meanwhile. Use it as a context.

    `entries` has what is done. At the start, these are the entries of earlier runs whose file is complete, unless the
    line has another digest now. A line that failed is not kept, so it is tried again.
    """

    def __init__(self, directory: Path, digests: Mapping[str, str], subtitles: Sequence[str] = ()) -> None:
        """`digests` has the current digest of each line, `subtitles` the suffixes of the files beside the audio."""
        self.directory = directory
        self.entries: dict[str, Entry] = {}
        self._digests = digests
        self._subtitles = subtitles
        self._unfinished = directory / ".unfinished"  # for files that are being written
        self._lock = FileLock(directory / ".lock", timeout=0)

    def __enter__(self) -> Output:
        """Lock the directory, and remove what a killed run left; raises BatchError."""
        with self._writing():
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            shutil.rmtree(self._unfinished, ignore_errors=True)
            self._unfinished.mkdir()
            for entry in read_manifest(self.directory):
                if self._is_done(entry):
                    self.entries[entry.id] = entry
            kept = self._unfinished / NAME
            kept.write_text("".join(map(_json, self.entries.values())), encoding="utf-8")
            kept.replace(self.directory / NAME)
            self._manifest = (self.directory / NAME).open("a", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Write the manifest in Parquet too, if pyarrow is installed; raises BatchError."""
        try:
            with self._writing():
                self._manifest.close()
                if importlib.util.find_spec("pyarrow") is not None:
                    self._write_parquet()
        except BatchError:
            if kind is None:  # else what ended the run is told
                raise
        finally:
            shutil.rmtree(self._unfinished, ignore_errors=True)
            self._lock.release()

    def save(self, entry: Entry, audio: bytes = b"", subtitles: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write the files, if there are any, then the entry. A kill in between leaves no entry.

        `subtitles` has the content of a file for each suffix. Raises BatchError if the disk is full, for example.
        """
        with self._writing():
            if entry.path:
                for suffix, text in subtitles.items():
                    self._write(f"{entry.id}.{suffix}", text.encode())
                self._write(entry.path, audio)
            self._manifest.write(_json(entry))
            self._manifest.flush()
        self.entries[entry.id] = entry

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Timeout:
            raise BatchError(f"Another run writes to {self.directory}; wait until it has ended.") from None
        except OSError as error:
            raise BatchError(
                f"{self.directory} cannot be written to: {error}. Once it can be, the same command continues."
            ) from error

    def _write(self, name: str, data: bytes) -> None:
        unfinished = self._unfinished / name
        unfinished.write_bytes(data)
        unfinished.replace(self.directory / name)

    def _is_done(self, entry: Entry) -> bool:
        if entry.path is None or self._digests.get(entry.id, entry.digest) != entry.digest:
            return False
        if not all((self.directory / f"{entry.id}.{suffix}").is_file() for suffix in self._subtitles):
            return False
        with suppress(OSError, ValueError):  # no such file, or no name of a file
            return (self.directory / entry.path).stat().st_size == entry.size
        return False

    def _write_parquet(self) -> None:
        import pyarrow
        import pyarrow.parquet

        types = {"seconds": pyarrow.float64(), "seed": pyarrow.uint64()}
        types |= dict.fromkeys(("takes", "size"), pyarrow.int64())
        schema = pyarrow.schema([(field.name, types.get(field.name, pyarrow.string())) for field in fields(Entry)])
        table = pyarrow.Table.from_pylist([asdict(entry) for entry in self.entries.values()], schema)
        unfinished = self._unfinished / PARQUET
        pyarrow.parquet.write_table(table, unfinished)
        unfinished.replace(self.directory / PARQUET)


def read_manifest(directory: Path) -> list[Entry]:
    """The entries of a directory's manifest. A line that a kill has cut off is left out."""
    entries = []
    with suppress(FileNotFoundError):
        for line in (directory / NAME).read_bytes().split(b"\n"):
            with suppress(ValidationError):
                entries.append(ENTRY.validate_json(line))
    return entries


def _json(entry: Entry) -> str:
    return json.dumps(asdict(entry), ensure_ascii=False) + "\n"
