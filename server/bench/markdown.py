"""Tables of measurements as Markdown, with the host, date and versions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from engine import host_and_versions


def as_markdown(table: Table) -> str:
    """The table as Markdown, below its title."""
    headers = [_plain(str(column.header)) for column in table.columns]
    rows = zip(*(map(_plain, map(str, column.cells)) for column in table.columns), strict=True)
    lines = [headers, ["---"] * len(headers), *rows]
    title = f"**{_plain(str(table.title))}**\n\n" if table.title else ""
    return title + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def record(file: Path, command: str, tables: Iterable[Table]) -> None:
    """Append the tables to `file`, below the command that measured them and the host. Raises OSError."""
    host, versions = host_and_versions()
    about = f"{host}, {datetime.now(UTC).date().isoformat()}, {', '.join(versions)}"
    parts = (f"    {command}\n", f"{about}.\n", *map(as_markdown, tables))
    with file.open("a", encoding="utf-8") as output:
        output.write("\n" + "\n".join(parts))


def _plain(text: str) -> str:
    return Text.from_markup(" ".join(text.split())).plain.replace("|", "\\|")
