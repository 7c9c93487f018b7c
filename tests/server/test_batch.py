"""`fast-spark batch`: lines to files and a manifest, whatever stops it, and audiobooks with chapters."""

import csv
import io
import json
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet
import pytest
import yaml
from typer.testing import CliRunner

from engine import EngineError
from server.batch.manifest import Entry, read_manifest
from server.batch.reading import read_lines
from server.cli import app
from tests.server.audio import decoded
from tests.server.commands import refused
from tests.server.conftest import COMMAND
from tests.waiting import SECONDS, wait_until

LINES = [
    {"id": "a", "text": "Hello world.", "seed": 3},
    {"id": "b", "text": "The second line.", "voice": "onyx", "response_format": "wav"},
    {"id": "c", "text": "The third line, which is a little longer."},
]


@pytest.fixture(autouse=True)
def own_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__DATA_DIRECTORY", str(tmp_path / "voices"))


def batch(*arguments: str | Path) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, ["batch", *map(str, arguments)])
    if result.exception:
        raise result.exception
    return result.output


def write_lines(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def entries(output: Path) -> dict[str, Entry]:
    """The entries of the manifest, each of which it has once."""
    found = read_manifest(output)
    assert Counter(entry.id for entry in found).most_common(1)[0][1] == 1
    return {entry.id: entry for entry in found}


def test_lines_become_files_and_entries(tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch(write_lines(tmp_path / "in.jsonl", LINES), "-o", out, "--format", "flac")
    done = entries(out)
    assert {name: entry.path for name, entry in done.items()} == {"a": "a.flac", "b": "b.wav", "c": "c.flac"}
    assert done["a"].seed == 3
    assert done["b"].voice == "onyx"
    for entry in done.values():
        assert entry.error is None
        assert entry.takes == 1  # of its one sentence
        samples, _ = decoded((out / str(entry.path)).read_bytes(), str(entry.path).rpartition(".")[2])  # type: ignore[arg-type]
        assert len(samples) / 24_000 == entry.seconds
    table = pyarrow.parquet.read_table(out / "manifest.parquet").to_pylist()
    assert {row["id"]: (row["path"], row["seconds"], row["seed"]) for row in table} == {
        entry.id: (entry.path, entry.seconds, entry.seed) for entry in done.values()
    }
    assert {file.name for file in out.iterdir() if not file.name.startswith(".")} == {
        "a.flac", "b.wav", "c.flac", "manifest.jsonl", "manifest.parquet"
    }  # fmt: skip


def test_subtitles_are_files_beside_the_audio(tmp_path: Path) -> None:
    rows = [LINES[0], {"id": "two", "text": "The first sentence.[pause:1s]And the second, of 5 & more."}]
    file, out = write_lines(tmp_path / "in.jsonl", rows), tmp_path / "out"
    batch(file, "-o", out, "--format", "wav")
    plain = (out / "two.wav").read_bytes()
    batch(file, "-o", out, "--format", "wav", "--srt", "--vtt")  # lines without them are spoken again, alike
    assert (out / "two.wav").read_bytes() == plain
    assert {path.name for path in out.glob("*.??t")} == {"a.srt", "a.vtt", "two.srt", "two.vtt"}
    first, second = (out / "two.srt").read_text().split("\n\n")
    assert first.startswith("1\n00:00:00,000 --> 00:00:0")
    assert second.endswith("\nAnd the second, of 5 & more.\n")
    assert "And the second, of 5 &amp; more.\n" in (out / "two.vtt").read_text()
    made = (out / "two.srt").stat().st_mtime_ns
    batch(file, "-o", out, "--format", "wav", "--srt")  # all is done
    assert (out / "two.srt").stat().st_mtime_ns == made


def test_every_kind_of_input_says_the_same(tmp_path: Path) -> None:
    rows = [{"id": "000001", "text": "Hello world.", "speed": 1.5}, {"id": "000002", "text": "Good morning."}]
    write_lines(tmp_path / "in.jsonl", rows)
    with (tmp_path / "in.csv").open("w", newline="") as opened:
        writer = csv.DictWriter(opened, ["text", "speed"])
        writer.writeheader()
        writer.writerows({"text": row["text"], "speed": row.get("speed", "")} for row in rows)
    columns = {"id": [row["id"] for row in rows], "text": [row["text"] for row in rows], "speed": [1.5, None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "in.parquet")
    audio = []
    for kind in ("jsonl", "csv", "parquet"):
        batch(tmp_path / f"in.{kind}", "-o", tmp_path / kind)
        audio.append([(tmp_path / kind / f"{row['id']}.mp3").read_bytes() for row in rows])
    assert audio[0] == audio[1] == audio[2]
    (tmp_path / "in.txt").write_text("Good morning.\n\n  Hello world.  \n")
    batch(tmp_path / "in.txt", "-o", tmp_path / "txt")
    assert list(entries(tmp_path / "txt")) != []
    assert {"000001", "000003"} == set(entries(tmp_path / "txt"))


def test_a_line_that_fails_is_an_entry_and_is_tried_again(tmp_path: Path) -> None:
    rows = [
        *LINES,
        {"id": "fast", "text": "Hello.", "speed": 9},
        {"id": "nobody", "text": "Hello.", "voice": "nobody"},
        {"id": "odd", "text": "Hello.", "sped": 1},
        {"id": "../up", "text": "Hello."},
        {"id": "empty"},
    ]
    file = write_lines(tmp_path / "in.jsonl", rows)
    with file.open("a") as opened:
        opened.write("[]\n{\n")
    out = tmp_path / "out"
    with pytest.raises(EngineError, match=r"7 of 10 lines failed; .*manifest\.jsonl has the reasons"):
        batch(file, "-o", out)
    done = entries(out)
    errors = {name: entry.error for name, entry in done.items() if entry.error}
    assert "less than or equal to 4" in str(errors["fast"])
    assert errors["nobody"] == "There is no voice 'nobody'."
    assert "Did you mean 'speed'?" in str(errors["odd"])
    assert "cannot name a file" in str(errors["../up"])
    assert errors["empty"] == "Missing required parameter: 'input'."
    assert errors["(line 9)"] == "Line 9 is not a JSON object."
    assert errors["(line 10)"] == "Line 10 is not JSON: EOF while parsing an object."
    assert not (tmp_path / "up.mp3").exists()

    before = {name: (out / str(done[name].path)).stat().st_mtime_ns for name in ("a", "b", "c")}
    write_lines(file, [*LINES[:2], {**LINES[2], "text": "Another third line."}, {"id": "fast", "text": "Hello."}])
    batch(file, "-o", out)
    again = entries(out)
    assert again["fast"].path == "fast.mp3"
    assert again["fast"].error is None
    changed = {name for name, time in before.items() if (out / str(again[name].path)).stat().st_mtime_ns != time}
    assert changed == {"c"}  # what the line says now is another text


def test_a_file_that_is_gone_is_made_again_and_nothing_else(tmp_path: Path) -> None:
    file, out = write_lines(tmp_path / "in.jsonl", LINES), tmp_path / "out"
    batch(file, "-o", out)
    first = (out / "a.mp3").read_bytes()
    (out / "a.mp3").unlink()
    with (out / "manifest.jsonl").open("a") as opened:
        opened.write('{"id": ["d"], "path": 5}\n')
        opened.write('{"id": "d", "pa')  # a kill
    assert "1 lines" in batch(file, "-o", out)
    assert (out / "a.mp3").read_bytes() == first
    assert set(entries(out)) == {"a", "b", "c"}


@pytest.mark.slow
def test_a_disk_that_cannot_take_a_file_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    rows = [LINES[0], {"id": "long", "text": "This line is much longer, and so is its file. " * 4, "seed": 1}]
    file, out = write_lines(tmp_path / "in.jsonl", rows), tmp_path / "out"
    limited = f"ulimit -f 200; exec '{COMMAND}' batch '{file}' -o '{out}' --format wav"  # KiB: four seconds
    ended = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 1
    assert ended.stderr.strip().startswith(f"fast-spark: {out} cannot be written to: [Errno 27] File too large")
    assert set(entries(out)) == {"a"}
    assert not (out / "long.wav").exists()
    batch(file, "-o", out, "--format", "wav")
    assert set(entries(out)) == {"a", "long"}
    with pytest.raises(EngineError, match=r"cannot be written to: .*Not a directory"):
        batch(file, "-o", file / "out")


BOOK = {
    "title": "Two chapters",
    "author": "Ada",
    "chapters": [{"title": "One", "first": "a"}, {"title": "Two: 2/2", "first": "c"}],
    "pause": 0.5,
    "chapter_pause": 1,
}


def test_a_book_has_its_chapters_where_they_begin(tmp_path: Path) -> None:
    chapters = tmp_path / "chapters.yaml"
    chapters.write_text(yaml.safe_dump({**BOOK, "file": "book.m4b"}))
    out = tmp_path / "out"
    batch(write_lines(tmp_path / "in.jsonl", LINES), "-o", out, "--format", "flac", "--join", chapters)
    seconds = {name: float(entry.seconds or 0) for name, entry in entries(out).items()}
    second = seconds["a"] + 0.5 + seconds["b"] + 1
    with av.open(out / "book.m4b") as book:
        found = book.chapters()
        assert [chapter["metadata"]["title"] for chapter in found] == ["One", "Two: 2/2"]
        assert [chapter["start"] * float(chapter["time_base"]) for chapter in found] == pytest.approx([0, second], 0.01)
        assert book.metadata["title"] == "Two chapters"
        assert book.metadata["artist"] == "Ada"
        assert book.duration == pytest.approx((second + seconds["c"] + 1) * 1e6, rel=0.02)
    if ffprobe := shutil.which("ffprobe"):
        command = [ffprobe, "-loglevel", "error", "-print_format", "json", "-show_chapters", out / "book.m4b"]
        shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["chapters"]
        assert [chapter["tags"]["title"] for chapter in shown] == ["One", "Two: 2/2"]
        assert [float(chapter["start_time"]) for chapter in shown] == pytest.approx([0, second], abs=0.01)
    joined, _ = decoded((out / "book.m4b").read_bytes(), "mp4")  # type: ignore[arg-type]
    begin = round(second * 24_000)
    assert abs(joined[begin - 20_000 : begin - 2_000]).max() < 0.01  # the pause before the second chapter
    assert abs(joined[begin : begin + 12_000]).max() > 0.05


def test_each_chapter_can_be_a_file(tmp_path: Path) -> None:
    chapters = tmp_path / "chapters.yaml"
    chapters.write_text(
        "title: On\npause: 0.5\nchapter_pause: 1\nchapter_format: mp3\nchapters:\n"
        f"- {{title: 1_000 {'章' * 100}, first: 000001}}\n- {{title: 'Two: 2/2', first: 000010}}"
    )
    out = tmp_path / "out"
    file = tmp_path / "in.txt"
    file.write_text("Hello world.\n" + "\n" * 8 + "The tenth line, which is a little longer.")
    batch(file, "-o", out, "--join", chapters)
    seconds = {name: float(entry.seconds or 0) for name, entry in entries(out).items()}
    samples, _ = decoded((out / "chapter 002 Two_ 2_2.mp3").read_bytes(), "mp3")
    assert len(samples) / 24_000 == pytest.approx(seconds["000010"] + 1, abs=0.11)
    assert len(list(out.glob("chapter 001 1_000 章*.mp3"))) == 1


def parquet(**columns: list[Any]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        (
            "in.csv",
            '\ufefftext;voice\r\n"A; ""b""\nc";onyx\r\n\r\nd;',
            [{"input": 'A; "b"\nc', "voice": "onyx"}, {"input": "d"}],
        ),
        ("in.csv", f"text\n{'long ' * 50_000}", [{"input": "long " * 50_000}]),
        ("in.tsv", "text\tvoice\na, b; c\tonyx", [{"input": "a, b; c", "voice": "onyx"}]),
        ("in.jsonl", '\ufeff{"text": "a\u2028b"}\r\n\r\n{"text": null}', [{"input": "a\u2028b"}, {}]),
        (
            "in.parquet",
            parquet(text=["a", None], seed=[1, None], __index_level_0__=[7, 8]),
            [{"input": "a", "seed": 1}, {}],
        ),
    ],
    ids=["Excel", "long", "tabs", "lines", "pandas"],
)
def test_an_input_as_other_programs_write_it(
    tmp_path: Path, name: str, content: str | bytes, lines: list[dict[str, Any]]
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert [line.fields for line in read_lines(file)] == lines


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": ' + "9" * 5000 + "}", "not JSON: number out of range"),
        ('{"id": "\\ud800", "text": "a"}', "not JSON: unexpected end of hex escape"),
        ('{"text": ' + "[" * 10_000, "not JSON: recursion limit exceeded"),
        ('{"id": ["a"], "text": "a"}', "must be a string or a whole number"),
        ('{"id": true, "text": "a"}', "must be a string or a whole number"),
        ('{"id": "a", "text": "a", "input": "b"}', "either `text` or `input`"),
    ],
    ids=["huge number", "surrogate", "deep", "list", "flag", "two texts"],
)
def test_a_line_that_cannot_be_read_hides_no_other(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "in.jsonl").write_text(f'{line}\n{{"id": "000001", "text": "Hello."}}')
    bad, good = read_lines(tmp_path / "in.jsonl")
    assert reason in str(bad.error)
    assert good.error is None


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("in.jsonl", "", "has no lines"),
        ("in.jsonl", '{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}', "two lines have the id '1'"),
        ("in.csv", "id,words\n1,hello", "has no column `text`"),
        ("in.csv", 'text\nhello\n"hello', "is not CSV: line 3"),
        ("in.csv", "", "has no lines"),
        ("in.csv", "text,text\na,b", "has 2 columns 'text'"),
        ("in.txt", b"\xff\xfe\x00", "is not UTF-8"),
        ("in.parquet", "hello", "is not a Parquet file"),
    ],
)
def test_an_input_that_cannot_be_read(tmp_path: Path, name: str, content: str | bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EngineError) as refusal:
        batch(tmp_path / name, "-o", tmp_path / "out")
    assert reason in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "write either `file: NAME.m4b`, or `chapter_format: mp3`"),
        ({"file": "../book.m4b"}, "without a directory"),
        ({"file": "x" * 300 + ".m4b"}, "longer than a file's name"),
        ({"file": "book.m4b", "chapters": [{"title": "One", "first": "x"}]}, "there is no line 'x'"),
        ({"file": "book.m4b", "chapters": [{"title": "One", "first": "b"}]}, "must begin at the first line, 'a'"),
        ({"file": "book.m4b", "chapters": BOOK["chapters"][::-1]}, "does not begin after"),  # type: ignore[index]
    ],
)
def test_chapters_that_do_not_fit(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    chapters = tmp_path / "chapters.yaml"
    chapters.write_text(yaml.safe_dump(BOOK | change))
    file = write_lines(tmp_path / "in.jsonl", LINES)
    with pytest.raises(EngineError) as refusal:
        batch(file, "-o", tmp_path / "out", "--join", chapters)
    assert reason in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def many(tmp_path: Path) -> list[str | Path]:
    """A command with 500 short lines."""
    rows = [{"id": f"{number}", "text": f"{number}.", "max_tokens": 10} for number in range(500)]
    return [COMMAND, "batch", write_lines(tmp_path / "in.jsonl", rows), "-o", tmp_path / "out", "--format", "wav"]


@pytest.mark.slow
def test_five_hundred_lines_survive_five_kills(tmp_path: Path, many: list[str | Path]) -> None:
    out = tmp_path / "out"
    for kill in range(5):
        before = len(read_manifest(out))
        process = subprocess.Popen(many)
        try:
            wait_until((out / ".unfinished").exists)
            wait_until(lambda: len(read_manifest(out)) > before + 20)  # noqa: B023
            if kill == 0:
                process.send_signal(signal.SIGSTOP)  # it writes no more lines meanwhile
                assert refused(*map(str, many[1:])).endswith("wait until it has ended.")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(120)
    done = {entry.id: (out / str(entry.path)).stat().st_mtime_ns for entry in read_manifest(out)}
    assert len(done) < 500
    subprocess.run(many, check=True)
    found = entries(out)
    assert set(found) == {str(number) for number in range(500)}
    assert all((out / f"{name}.wav").stat().st_size == entry.size for name, entry in found.items())
    assert len(list(out.glob("*.wav"))) == 500
    assert all((out / f"{name}.wav").stat().st_mtime_ns == time for name, time in done.items())
