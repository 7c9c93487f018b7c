"""`fast-spark bench`: measures a server with increasing numbers of concurrent clients."""

from __future__ import annotations

import asyncio
import enum
import importlib.util
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvicorn
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine import EngineError, claim_processors
from server.app import create_app
from server.bench.markdown import record
from server.connections import ClientConnection
from server.encoding import AudioFormat
from server.options import ConfigOption, LanguageModelOption, ModelOption, command_settings
from server.settings import Settings

if TYPE_CHECKING:
    from server.bench.client import Level, Workload

TEXTS = Path(__file__).with_name("texts.yaml")
MOST_CLIENTS = 64
WARM_UP = "Good morning."


class BenchError(EngineError):
    """The benchmark cannot run; the message says why."""


class Length(enum.StrEnum):
    """The selection of bundled texts."""

    ALL = "all"
    SHORT = "short"
    LONG = "long"


def bundled_texts(length: Length = Length.ALL) -> tuple[str, ...]:
    """Return texts from texts.yaml. ALL alternates short and long texts."""
    texts: dict[str, list[str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    if length is Length.ALL:
        return tuple(text for pair in zip(texts["short"], texts["long"], strict=True) for text in pair)
    return tuple(texts[length])


def bench(
    url: Annotated[
        str | None, typer.Option(help="A running server, such as http://127.0.0.1:8000; by default one is started.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="OPENAI_API_KEY", help="The API key for a running server.")
    ] = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    language_model: LanguageModelOption = None,
    concurrency: Annotated[
        str, typer.Option(help=f"Numbers of concurrent clients, 1 to {MOST_CLIENTS}, measured one after the other.")
    ] = "1,2,4,8,16",
    requests: Annotated[int, typer.Option(min=1, help="Requests at each level; at least one per client.")] = 16,
    texts: Annotated[Length, typer.Option(help="One sentence, several, or both alternately.")] = Length.ALL,
    max_tokens: Annotated[
        int,
        typer.Option(min=1, max=3000, help="Token limit per sentence, at 50 per second. A synthetic model reaches it."),
    ] = 150,
    voice: Annotated[str, typer.Option(help="A voice's name or id.")] = "alloy",
    audio_format: Annotated[AudioFormat, typer.Option("--format", help="The audio format.")] = "pcm",
    stream: Annotated[bool, typer.Option(help="Play responses while they arrive, or when they are complete.")] = True,
    output: Annotated[Path, typer.Option("-o", "--output", help="Files to write: OUTPUT.json and OUTPUT.png.")] = Path(
        "bench"
    ),
    file: Annotated[Path | None, typer.Option("--record", help="A Markdown file to append the table to.")] = None,
) -> None:
    """Measure a server with increasing numbers of concurrent clients."""
    levels = _levels(concurrency)
    if url and (config or model or language_model):
        raise BenchError(
            "--url is a server that runs already; --config, --model and --language-model are for one that is started."
        )
    if not output.absolute().parent.is_dir():
        raise BenchError(f"There is no directory {output.parent} to write to.")
    if importlib.util.find_spec("matplotlib") is None:
        raise BenchError("The plot needs matplotlib: pip install matplotlib")
    from server.bench.client import Workload

    workload = Workload(bundled_texts(texts), voice, audio_format, max_tokens, stream)
    if url:
        subject = url
        results = asyncio.run(run(url, workload, levels, requests, api_key))
    else:
        settings = command_settings(config, model, language_model)
        subject = f"{settings.model_name} ({settings.engine.backend})"
        claim_processors(settings.nice)
        with own_server(settings.model_copy(update={"api_keys": {}, "api_keys_file": None})) as address:
            results = asyncio.run(run(address, workload, levels, requests))
    about = {"subject": subject, "texts": texts, "voice": voice, "format": audio_format}
    _report(results, about | {"max_tokens": max_tokens, "stream": stream}, output)
    if file is not None:
        from server.bench.report import as_table

        options = f"--texts {texts} --max-tokens {max_tokens} --requests {requests} --concurrency {concurrency}"
        record(file, f"fast-spark bench {options}{'' if stream else ' --no-stream'}", [as_table(results, subject)])


async def run(
    url: str, workload: Workload, levels: list[int], requests: int, api_key: str | None = None
) -> list[Level]:
    """Measure all levels, with a progress bar; raises BenchError if the first request fails.

    The first request is not measured: it can have to create the voice.
    """
    import httpx2

    from server.bench.client import connect, measure

    totals = [max(requests, clients) for clients in levels]
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results = []
    try:
        async with connect(url, api_key) as http:
            with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
                task = bar.add_task("warming up", total=sum(totals))
                warm_up = replace(workload, texts=(WARM_UP,))
                (answer,) = (await measure(http, warm_up, 1, 1)).answers
                if answer.error:
                    raise BenchError(f"{url} does not speak. {answer.error}")
                for clients, total in zip(levels, totals, strict=True):
                    bar.update(task, description=f"{clients} client{'s' * (clients > 1)}")
                    results.append(await measure(http, workload, clients, total, lambda: bar.advance(task)))
    except httpx2.InvalidURL as error:
        raise BenchError(f"{url} is no address: {error}") from error
    return results


@contextmanager
def own_server(settings: Settings) -> Generator[str, None, None]:
    """Serve the configured model on a free port of this machine; raises EngineError if it cannot be loaded."""
    changed = threading.Event()
    app = create_app(settings, on_change=lambda service: changed.set())
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(uvicorn.Config(app, http=ClientConnection, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        changed.wait()
        if failure := app.state.service.failure:
            raise EngineError(failure)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def _report(results: list[Level], about: dict[str, object], output: Path) -> None:
    """Print the table and the errors, and write the files."""
    from server.bench.plot import write_plot
    from server.bench.report import as_table, errors_of, write_json

    console = Console()
    console.print(as_table(results, str(about["subject"])))
    for error, count in errors_of(results).items():
        console.print(f"{count} x {error}", markup=False, soft_wrap=True)
    json_file, plot = (output.with_name(output.name + suffix) for suffix in (".json", ".png"))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(results, {"fast_spark": version("fast-spark"), "date": now, **about}, json_file)
    write_plot(results, f"Fast-Spark: {about['subject']}", plot)
    console.print(f"The results are in {json_file} and {plot}.", soft_wrap=True)


def _levels(concurrency: str) -> list[int]:
    """Parse a list of numbers such as 1,2,4."""
    try:
        levels = [int(part) for part in concurrency.split(",")]
    except ValueError:
        levels = [0]
    if not all(1 <= clients <= MOST_CLIENTS for clients in levels):
        raise BenchError(f"--concurrency takes numbers from 1 to {MOST_CLIENTS}, as in 1,2,4; not {concurrency!r}.")
    return levels
