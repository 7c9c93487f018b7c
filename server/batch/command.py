"""`fast-spark batch`: reads the lines, speaks those that are not done yet, and joins them to a book."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from engine import InvalidRequest, claim_processors
from server.batch import joining
from server.batch.jobs import Job, job_of
from server.batch.manifest import NAME, Entry, Output
from server.batch.reading import BatchError, Line, read_lines
from server.batch.speaking import Narrator, Spoken
from server.encoding import DEFAULT_FORMAT, AudioFormat
from server.options import ConfigOption, LanguageModelOption, ModelOption, command_settings
from server.settings import Settings
from server.subtitles import SubtitleFormat
from server.terminal import console, prepare


def batch(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="The texts: .jsonl, .csv, .parquet, or one on each line.", exists=True, dir_okay=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The directory for audio files and the manifest.", file_okay=False)
    ],
    voice: Annotated[str, typer.Option(help="The voice of lines that name none.")] = "alloy",
    audio_format: Annotated[
        AudioFormat, typer.Option("--format", help="The audio format of lines that name none.")
    ] = DEFAULT_FORMAT,
    join: Annotated[
        Path | None, typer.Option(help="A YAML file of chapters: writes an audiobook.", exists=True, dir_okay=False)
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Ray cluster that speaks, such as HOST:6379; `local` starts one here."),
    ] = None,
    srt: Annotated[bool, typer.Option("--srt", help="Write subtitles beside each audio file, as SRT.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="Write subtitles beside each audio file, as WebVTT.")] = False,
    config: ConfigOption = None,
    model: ModelOption = None,
    language_model: LanguageModelOption = None,
) -> None:
    """Speak many texts to audio files. The same command again continues a run that was stopped."""
    settings = command_settings(config, model, language_model)
    lines = read_lines(file)
    names = [line.id for line in lines]
    book = joining.read_book(join, names) if join else None
    kinds: dict[SubtitleFormat, bool] = {"srt": srt, "vtt": vtt}
    subtitles = tuple(kind for kind, wanted in kinds.items() if wanted)
    jobs, refused = _validate(lines, settings, {"voice": voice, "response_format": audio_format}, subtitles)
    if book and (raw := [job.path for job in jobs if job.audio_format == "pcm"]):
        raise BatchError(f"{raw[0]} cannot be joined: files in pcm do not say what they are. Use --format flac.")
    with Output(output, {job.id: job.digest for job in jobs}, subtitles) as target:
        for entry in refused:
            target.save(entry)
        pending = [job for job in jobs if job.id not in target.entries]
        if pending:
            prepare(settings.engine)
        while pending:
            spoken = _on_cluster(settings, pending, cluster) if cluster else here(settings, pending)
            asyncio.run(_speak(pending, spoken, target))
            pending = [job for job in pending if job.id not in target.entries]  # lost with a worker
        failed = [entry for name in names if (entry := target.entries[name]).error]
        if failed:
            raise BatchError(
                f"{len(failed)} of {len(lines)} lines failed; {output / NAME} has the reasons. The first: "
                f"{failed[0].id}: {failed[0].error} The same command again tries them again."
            )
        if book:
            for written in joining.join(book, names, target.entries, output):
                console.print(f"{written}", soft_wrap=True)


def _validate(
    lines: Sequence[Line], settings: Settings, defaults: dict[str, Any], subtitles: tuple[SubtitleFormat, ...]
) -> tuple[list[Job], list[Entry]]:
    """The jobs, and an entry for each line that is not valid."""
    jobs, refused = [], []
    for line in lines:
        try:
            jobs.append(job_of(line, settings, defaults, subtitles))
        except InvalidRequest as error:
            refused.append(Entry(line.id, error=str(error)))
    return jobs, refused


def _on_cluster(settings: Settings, jobs: Sequence[Job], address: str) -> AsyncGenerator[Spoken, None]:
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # for the import; else an interrupted run would start Ray again
    try:
        from server.batch.ray_data import on_cluster
    except ImportError as error:
        raise BatchError("Clusters need Ray: pip install 'fast-spark[cluster]'.") from error
    return on_cluster(settings, jobs, address)


async def here(settings: Settings, jobs: Sequence[Job]) -> AsyncGenerator[Spoken, None]:
    """Speak the jobs on this machine, with one engine."""
    claim_processors(settings.nice)
    narrator = await asyncio.to_thread(Narrator, settings)
    try:
        async with aclosing(narrator.speak_all(jobs)) as spoken:
            async for line in spoken:
                yield line
    finally:
        await narrator.close()


async def _speak(jobs: Sequence[Job], spoken: AsyncGenerator[Spoken, None], target: Output) -> None:
    """Save the lines as they are done. The estimate of the time left is by the length of the texts."""
    columns = (
        TextColumn("{task.fields[lines]} of {task.fields[all]} lines"),
        BarColumn(),
        TextColumn("{task.fields[speed]:.1f} s of speech a second, left:"),
        TimeRemainingColumn(),
    )
    expected = {job.id: job.seconds for job in jobs}
    begun, seconds, lines = time.monotonic(), 0.0, 0
    with Progress(
        *columns, console=console, transient=True, speed_estimate_period=300, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=sum(expected.values()), lines=0, all=len(jobs), speed=0.0)
        async with aclosing(spoken):
            async for line in spoken:
                if line.entry.id in target.entries:
                    continue  # spoken twice, after a worker was lost
                await asyncio.to_thread(target.save, line.entry, line.audio, line.subtitles)
                lines += 1
                seconds += line.entry.seconds or 0
                bar.update(
                    task, advance=expected[line.entry.id], lines=lines, speed=seconds / (time.monotonic() - begun)
                )
    took = time.monotonic() - begun
    console.print(f"{lines} lines, {seconds:.0f} s of speech in {took:.0f} s: {target.directory}", soft_wrap=True)
