"""Reads the input of a batch: JSON lines, CSV, plain text or Parquet."""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from engine import EngineError

DELIMITERS = {".csv": ",;", ".tsv": "\t"}  # the one that the first row has most of


class BatchError(EngineError):
    """The batch cannot run, or not to its end; the message says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """One text of the input: its id, and the fields of its request as they were written.

    `error` says why the line cannot be read. `typed` is false if all values are strings, as in CSV.
    """

    id: str
    fields: dict[str, Any]
    typed: bool = True
    error: str | None = None


def read_lines(file: Path) -> list[Line]:
    """Return all lines of a file; raises BatchError if it cannot be read, or if two lines have the same id.

    The suffix decides: .jsonl or .ndjson, .csv or .tsv, .parquet; any other file has one text on each line. A line
    without an id has its number as the id: the number of the row, or of the line in a text file. The id of a line that
    cannot be read is no other line's.
    """
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet, **dict.fromkeys(DELIMITERS, _csv)}
    with _understood(file):
        lines = list(readers.get(file.suffix.lower(), _text)(file))
    if not lines:
        raise BatchError(f"{file} has no lines.")
    seen: set[str] = set()
    for line in lines:
        if line.id in seen:
            raise BatchError(f"{file}: two lines have the id {line.id!r}. An id names the line's audio file.")
        seen.add(line.id)
    return lines


def require_pyarrow() -> None:
    """Raise BatchError if Parquet cannot be read and written."""
    if importlib.util.find_spec("pyarrow") is None:
        raise BatchError("Parquet files need pyarrow: pip install 'fast-spark[batch]'.")


@contextmanager
def _understood(file: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise BatchError(f"{file} is not UTF-8 (byte {error.start}).") from error


def _number(number: int) -> str:
    return f"{number:06}"


def _unreadable(number: int, error: str) -> Line:
    return Line(f"(line {number})", {}, error=error)


def _line(row: dict[str, Any], number: int, *, typed: bool = True) -> Line:
    """A line from a row. A field without a value is left out, so it has its default."""
    fields = {name: value for name, value in row.items() if value is not None}
    line_id = fields.pop("id", _number(number))
    if isinstance(line_id, bool) or not isinstance(line_id, str | int):
        return _unreadable(number, f"The id of line {number} must be a string or a whole number.")
    if "text" in fields:
        if "input" in fields:
            return Line(str(line_id), {}, error="A line has either `text` or `input`: both are its text.")
        fields["input"] = fields.pop("text")
    return Line(str(line_id), fields, typed)


def _check_columns(file: Path, names: Sequence[str], separators: str = "") -> None:
    """Raise BatchError if there is no column of texts, or if two columns have the same name."""
    if not {"text", "input"}.intersection(names):
        raise BatchError(
            f"{file} has no column `text`{separators}. It has {', '.join(map(repr, names))[:300] or 'none'}."
        )
    name, number = Counter(names).most_common(1)[0]
    if number > 1:
        raise BatchError(f"{file} has {number} columns {name!r}.")


def _json_lines(file: Path) -> Iterator[Line]:
    with file.open(encoding="utf-8-sig") as opened:
        for number, text in enumerate(opened, 1):
            if not text.strip():
                continue
            try:
                row = from_json(text)
            except ValueError as error:
                reason = str(error).rpartition(" at line ")[0]
                yield _unreadable(number, f"Line {number} is not JSON: {reason}.")
                continue
            if isinstance(row, dict):
                yield _line(row, number)
            else:
                yield _unreadable(number, f"Line {number} is not a JSON object.")


def _csv(file: Path) -> Iterator[Line]:
    csv.field_size_limit(sys.maxsize)  # by default, 131,072 characters
    with file.open(encoding="utf-8-sig", newline="") as opened:
        delimiter = max(DELIMITERS[file.suffix.lower()], key=opened.readline().count)
        opened.seek(0)
        rows = csv.DictReader(opened, delimiter=delimiter, strict=True)
        try:
            if rows.fieldnames is not None:
                _check_columns(file, rows.fieldnames, " in its first row, which names the columns")
            for number, row in enumerate(rows, 1):
                if None in row or None in row.values():
                    yield _unreadable(number, f"Row {number} has another number of columns than the first row.")
                else:
                    yield _line({name: value or None for name, value in row.items()}, number, typed=False)
        except csv.Error as error:
            raise BatchError(f"{file} is not CSV: line {rows.reader.line_num}: {error}.") from error


def _parquet(file: Path) -> Iterator[Line]:
    require_pyarrow()
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            _check_columns(file, names)
            columns = [name for name in names if not re.fullmatch(r"__index_level_\d+__", name)]  # pandas' own
            rows = (row for batch in opened.iter_batches(columns=columns) for row in batch.to_pylist())
            for number, row in enumerate(rows, 1):
                yield _line(row, number)
    except (pyarrow.ArrowException, OSError) as error:
        raise BatchError(f"{file} is not a Parquet file: {' '.join(str(error).split())}") from error


def _text(file: Path) -> Iterator[Line]:
    with file.open(encoding="utf-8-sig") as opened:
        for number, text in enumerate(opened, 1):
            if text.strip():
                yield Line(_number(number), {"input": text.strip()})
