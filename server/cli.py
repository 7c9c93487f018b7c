"""The command `fast-spark`: serve, say, batch, tune, models, voices and bench."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine import (
    SPARK_TTS,
    EngineConfig,
    EngineError,
    Hub,
    InputFormat,
    InvalidRequest,
    Quantization,
    Samples,
    Size,
    SpeechEngine,
    SpeechEvent,
    SpeechRequest,
    checkpoints,
    claim_processors,
)
from engine import convert as convert_model
from server.app import create_app
from server.batch.command import batch
from server.bench.command import bench
from server.connections import protocols
from server.draining import DrainingServer
from server.encoding import FORMATS, encode_all
from server.errors import invalid_field
from server.options import ConfigOption, LanguageModelOption, ModelOption, command_settings
from server.schemas import CreateSpeechRequest
from server.service import Service
from server.settings import Settings
from server.subtitles import srt, vtt
from server.terminal import console, prepare, progress_bar
from server.text_command import text
from server.tune_command import measure, tune_with_table
from server.voice_commands import voices

app = typer.Typer(
    help="An OpenAI-compatible speech server for Spark-TTS.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models = typer.Typer(help="Download, make and list models.", no_args_is_help=True)
app.add_typer(models, name="models")
app.add_typer(voices, name="voices")
app.command()(text)
app.command()(bench)
app.command()(batch)
app.command("tune")(measure)


def main() -> None:
    """Run the command. Prints an error as one line, and exits with status 1."""
    try:
        app()
    except (EngineError, OSError) as error:
        console.print(Text.assemble(("fast-spark:", "red"), f" {error}"), soft_wrap=True)
        sys.exit(1)


@app.command()
def serve(
    config: ConfigOption = None,
    model: ModelOption = None,
    language_model: LanguageModelOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 selects a free one.")] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Serve on a Ray cluster, such as HOST:6379; `local` starts one here."),
    ] = None,
    tune: Annotated[
        bool | None, typer.Option("--tune/--no-tune", help="Whether to measure a model at its first start here.")
    ] = None,
) -> None:
    """Serve a model with OpenAI's API; without --model, the built-in demo model."""
    settings = command_settings(config, model, language_model, host=host, port=port, tune=tune)
    if cluster is not None:
        _serve_on_cluster(settings, cluster)
        return
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(name)s: %(message)s")
    claim_processors(settings.nice)
    prepare(settings.engine)
    if settings.tune:
        tune_with_table(settings.engine, console, again=False)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)

    def tell(service: Service) -> None:
        if service.failure:
            server.should_exit = True
        else:
            gc.freeze()  # otherwise a full collection scans 500,000 objects of torch, a pause of 0.7 s
            console.print(_greeting(f"http://{settings.host}:{listener.getsockname()[1]}"), soft_wrap=True)

    application = create_app(settings, on_change=tell)
    service = application.state.service
    serving = uvicorn.Config(application, **protocols(settings), log_level="info", timeout_graceful_shutdown=1)
    server = DrainingServer(serving, service)
    server.run(sockets=[listener])
    if service.failure:
        raise EngineError(service.failure)


def _serve_on_cluster(settings: Settings, address: str) -> None:
    try:
        from server.cluster import run
    except ImportError as error:
        raise EngineError("Clusters need Ray: pip install 'fast-spark[cluster]'.") from error
    prepare(settings.engine)
    run(settings, address, lambda url: console.print(_greeting(url), soft_wrap=True))


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="The text.")],
    output: Annotated[Path, typer.Option("-o", "--output", help=f"The file: .{', .'.join(FORMATS)}")],
    voice: Annotated[str, typer.Option(help="A voice's name or id.")] = "alloy",
    speed: Annotated[float, typer.Option(help="Tempo, 0.25 to 4.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same audio.")] = None,
    input_format: Annotated[InputFormat, typer.Option(help="What the text is; see docs/script.md.")] = "text",
    srt_file: Annotated[Path | None, typer.Option("--srt", help="Write subtitles to this SRT file.")] = None,
    vtt_file: Annotated[Path | None, typer.Option("--vtt", help="Write subtitles to this WebVTT file.")] = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    language_model: LanguageModelOption = None,
) -> None:
    """Synthesize a text to a file, without a server."""
    settings = command_settings(config, model, language_model)
    if output.suffix[1:].lower() not in FORMATS:
        raise InvalidRequest(f"The ending of {output} must say the format: .{', .'.join(FORMATS)}.")
    fields = {"input": text, "voice": voice, "speed": speed, "seed": seed, "response_format": output.suffix[1:]}
    fields["input_format"] = input_format
    try:
        request = CreateSpeechRequest.model_validate({"model": settings.model_name, **fields})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(invalid_field({**first, "loc": ("", *first["loc"])}).message) from error
    for file in filter(None, (output, srt_file, vtt_file)):
        if not file.parent.is_dir():
            raise InvalidRequest(f"There is no directory {file.parent} to write to.")
    claim_processors(settings.nice)
    prepare(settings.engine)
    asked = replace(request.to_engine(caller=None), timestamps=True, words=vtt_file is not None)
    samples, events = asyncio.run(_speak(settings.engine, asked))
    if srt_file:
        srt_file.write_text(srt(events), encoding="utf-8")
    if vtt_file:
        vtt_file.write_text(vtt(events), encoding="utf-8")
    output.write_bytes(encode_all(samples, request.encoding, request.sample_rate))
    console.print(f"{output}: {len(samples) / request.sample_rate:.1f} s of speech", soft_wrap=True)


@models.command()
def download(
    name: Annotated[str, typer.Argument(help=f"The model's name, such as {SPARK_TTS}.")],
    hub: Annotated[Hub, typer.Option("--from", help="The hub.")] = "huggingface",
) -> None:
    """Download a model, or continue an interrupted download."""
    console.print(f"{name} is in {checkpoints.download(name, hub)}", soft_wrap=True)


@models.command()
def synthesize(
    directory: Annotated[Path, typer.Argument(help="The directory to write, which must not exist.")],
    size: Annotated[Size, typer.Option(help="`full` is the real size: 4 GB.")] = "small",
) -> None:
    """Write a checkpoint with synthetic weights. It has the real layout, and produces noise."""
    from engine.checkpoints.synthetic import write_checkpoint  # imports torch and transformers

    with progress_bar(f"Making {directory}") as progress:
        write_checkpoint(directory, size, progress)
    console.print(f"Ready: fast-spark serve --model {directory}", soft_wrap=True)


@models.command()
def convert(
    model: Annotated[str, typer.Argument(help="A checkpoint's directory, or a name on a hub (downloaded).")],
    quantize: Annotated[Quantization, typer.Option(help="The precision of the weights.")] = "q8_0",
    hub: Annotated[Hub, typer.Option("--from", help="The hub.")] = "huggingface",
    server: Annotated[bool, typer.Option("--server", help="For llama-server, with the whole vocabulary.")] = False,
) -> None:
    """Convert a language model for llama.cpp; `serve` also does this if it is necessary."""
    with progress_bar(f"Converting {model}") as progress:
        path = convert_model(model, quantize, progress, hub=hub, server=server)
    console.print(f"{path}: {path.stat().st_size / 1e6:.0f} MB", soft_wrap=True)


@models.command("list")
def list_models() -> None:
    """List the models that are on this machine."""
    table = Table("Model", "State", "Directory")
    for name, directory in checkpoints.local_models():
        missing = checkpoints.missing_files(directory)
        state = f"incomplete: no {missing[0]}" if missing else "ready"
        if missing and checkpoints.is_language_model(directory):
            state = "language model"
        table.add_row(name, state, str(directory))
    Console(markup=False).print(table)


async def _speak(config: EngineConfig, request: SpeechRequest) -> tuple[Samples, list[SpeechEvent]]:
    """Return all samples and events of one response."""
    engine = SpeechEngine.load(config)
    try:
        async with aclosing(engine.synthesize(request)) as chunks:
            heard = [chunk async for chunk in chunks]
            return np.concatenate([chunk.samples for chunk in heard]), [
                event for chunk in heard for event in chunk.events
            ]
    finally:
        await engine.close()


def _greeting(url: str) -> str:
    body = '{"model": "tts-1", "voice": "alloy", "input": "Hello! This is Fast-Spark."}'
    return (
        f"\nReady at {url} (documentation: {url}/docs). Make it speak:\n\n"
        f"    curl {url}/v1/audio/speech -H 'Content-Type: application/json' \\\n"
        f"      -d '{body}' -o hello.mp3\n"
    )
