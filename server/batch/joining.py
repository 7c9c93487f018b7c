"""Audiobooks: the audio files of a batch in one m4b file with chapters, or in one file for each chapter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine import Samples
from server.batch.manifest import Entry
from server.batch.reading import BatchError
from server.encoding import AudioFormat, WholeFile

LONGEST_NAME = 255  # bytes, of a file
LONGEST_TITLE = 200  # bytes, in the name of a chapter's file
RATE = 24_000  # Hz, of the joined file
BIT_RATE = 64_000
TIME_BASE = Fraction(1, 1000)  # of the chapters


def _file_name(name: str) -> str:
    if Path(name).name != name or Path(name).suffix.lower() != ".m4b":
        raise ValueError("it must be the name of an .m4b file, without a directory")
    if len(name.encode()) >= LONGEST_NAME:
        raise ValueError(f"it is longer than a file's name can be, {LONGEST_NAME - 1} bytes")
    return name


class Chapter(BaseModel):
    """A chapter begins at the line `first`, and ends before the next chapter."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1)
    first: str


class Book(BaseModel):
    """The file that `--join` reads. It has either `file` or `chapter_format`."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1)
    author: str | None = None
    file: Annotated[str, AfterValidator(_file_name)] | None = None
    chapter_format: AudioFormat | None = None
    pause: float = Field(0.4, ge=0, le=60)
    """Seconds between two lines."""
    chapter_pause: float = Field(1.5, ge=0, le=60)
    """Seconds after a chapter."""
    chapters: list[Chapter] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_output(self) -> Book:
        if (self.file is None) == (self.chapter_format is None):
            raise ValueError("write either `file: NAME.m4b`, or `chapter_format: mp3` for one file a chapter")
        return self


def read_book(file: Path, lines: Sequence[str]) -> Book:
    """Read the chapters of these lines; raises BatchError if a chapter's first line is missing or out of order."""
    try:
        # All values are read as text: to YAML, the id 000010 would be 8.
        book = Book.model_validate(yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BatchError(f"{file}: {where}{': ' if where else ''}{first['msg']}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BatchError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    positions = {line: position for position, line in enumerate(lines)}
    begins = -1
    for chapter in book.chapters:
        if chapter.first not in positions:
            raise BatchError(f"{file}: there is no line {chapter.first!r}, at which {chapter.title!r} begins.")
        if positions[chapter.first] <= begins:
            raise BatchError(f"{file}: the chapter {chapter.title!r} does not begin after the chapter before it.")
        begins = positions[chapter.first]
    if positions[book.chapters[0].first]:
        raise BatchError(f"{file}: the first chapter must begin at the first line, {lines[0]!r}.")
    return book


def join(book: Book, lines: Sequence[str], done: Mapping[str, Entry], directory: Path) -> list[Path]:
    """Write the book to the directory that has the audio files; returns its files.

    `lines` are the ids in the order of the book; `done` has the entry of each.
    """
    begins = [lines.index(chapter.first) for chapter in book.chapters]
    parts = [[done[line] for line in lines[begin:end]] for begin, end in zip(begins, [*begins[1:], None], strict=True)]
    if book.file:
        return [_one_file(book, parts, directory, directory / book.file)]
    return [_chapter_file(book, number, part, directory) for number, part in enumerate(parts, 1)]


def _samples_of(book: Book, entries: Sequence[Entry], directory: Path) -> Iterator[Samples]:
    """The samples of a chapter at RATE, with pauses, in parts."""
    for position, entry in enumerate(entries):
        if position:
            yield _silence(book.pause)
        yield _decoded(directory / str(entry.path), round((entry.seconds or 0) * RATE))
    yield _silence(book.chapter_pause)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def _decoded(file: Path, length: int) -> Samples:
    """The samples of a file, which are `length` without what its encoder added."""
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(file) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    parts = [frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]]
    return np.concatenate([*parts, np.zeros(length, np.float32)])[:length]


def _one_file(book: Book, parts: Sequence[Sequence[Entry]], directory: Path, file: Path) -> Path:
    """Write an m4b file: AAC in MP4, with the chapters and their titles."""
    unfinished = file.with_name(f".{file.name}")
    with av.open(unfinished, "w", format="ipod", options={"movflags": "+faststart"}) as container:
        container.metadata.update({"title": book.title, "album": book.title, "genre": "Audiobook"})
        if book.author:
            container.metadata.update({"artist": book.author, "album_artist": book.author})
        stream = container.add_stream("aac", RATE)
        stream.layout = "mono"
        stream.bit_rate = BIT_RATE
        container.set_chapters(_chapters(book, parts))  # FFmpeg writes them as a track, so before the header
        written = 0
        for entries in parts:
            for samples in _samples_of(book, entries, directory):
                frame = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1)[np.newaxis], format="fltp", layout="mono")
                frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), written
                container.mux(stream.encode(frame))
                written += len(samples)
        container.mux(stream.encode(None))
    return unfinished.replace(file)


def _chapters(book: Book, parts: Sequence[Sequence[Entry]]) -> list[Any]:
    """The chapters as FFmpeg has them. Their length follows from the manifest, before anything is decoded."""
    chapters, begin = [], 0
    for number, (chapter, entries) in enumerate(zip(book.chapters, parts, strict=True)):
        speech = sum(round((entry.seconds or 0) * RATE) for entry in entries)
        end = begin + speech + (len(entries) - 1) * len(_silence(book.pause)) + len(_silence(book.chapter_pause))
        chapters.append(
            {
                "id": number,
                "start": round(begin / RATE / TIME_BASE),
                "end": round(end / RATE / TIME_BASE),
                "time_base": TIME_BASE,
                "metadata": {"title": chapter.title},
            }
        )
        begin = end
    return chapters


def _chapter_file(book: Book, number: int, entries: Sequence[Entry], directory: Path) -> Path:
    assert book.chapter_format
    title = re.sub(r"[^\w .,()-]", "_", book.chapters[number - 1].title)
    title = title.encode()[:LONGEST_TITLE].decode(errors="ignore").strip()
    file = directory / f"chapter {number:03} {title}.{book.chapter_format}"
    whole = WholeFile(book.chapter_format, RATE)
    for samples in _samples_of(book, entries, directory):
        whole.write(samples)
    unfinished = file.with_name(f".{file.name}")
    unfinished.write_bytes(whole.close())
    return unfinished.replace(file)
