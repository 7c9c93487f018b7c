"""`fast-spark voices`: the voice store on the command line. The operator can see and change all voices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine import (
    EngineConfig,
    Gender,
    InvalidRequest,
    Level,
    SpeechEngine,
    UnknownVoice,
    Voice,
    VoiceAttributes,
    VoiceStore,
    export_voice,
    import_speakers,
    import_voice,
    open_database,
)
from server.options import ConfigOption, LanguageModelOption, ModelOption, command_settings
from server.settings import load_settings
from server.voice_tokens import given_tokens

PAGE = 1000

voices = typer.Typer(
    help="List, add, move and remove voices. Changes take effect immediately in a running server.", no_args_is_help=True
)
console = Console(stderr=True, highlight=False, markup=False)  # printed text can contain users' input

NameOption = Annotated[str, typer.Option(help="The voice's name.")]
ConsentOption = Annotated[str | None, typer.Option(help="The id of a consent, if the server requires one.")]
PrefixOption = Annotated[str, typer.Option(help="The speaker's name that texts begin with, for some fine-tunes.")]
LanguageOption = Annotated[str | None, typer.Option(help="A BCP 47 tag: the language of the voice's texts.")]
VoiceArgument = Annotated[str, typer.Argument(help="A voice's name or id.")]


@voices.command("list")
def list_voices(config: ConfigOption = None) -> None:
    """List the voices of users (created and cloned)."""
    table = Table("Name", "Id", "Owner", "Made from")
    with _store(load_settings(config).engine) as store:
        for voice in _all(store):
            owner = f"{voice.owner} (private)" if voice.private else voice.owner or "-"
            made_from = "attributes" if voice.attributes else "tokens" if voice.from_tokens else "sample"
            made_from += " and transcript" if voice.transcript else ""
            table.add_row(voice.name, voice.id, owner, made_from)
    Console(soft_wrap=True, markup=False).print(table)


@voices.command()
def add(
    file: Annotated[Path, typer.Argument(help="A recording of one speaker.", exists=True, dir_okay=False)],
    name: NameOption,
    transcript: Annotated[str | None, typer.Option(help="The exact words of the recording.")] = None,
    consent: ConsentOption = None,
    text_prefix: PrefixOption = "",
    language: LanguageOption = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    language_model: LanguageModelOption = None,
) -> None:
    """Add a cloned voice from a recording."""
    sample, prefix = file.read_bytes(), text_prefix
    _make(
        command_settings(config, model, language_model).engine,
        lambda engine: engine.voices.add(
            name, sample, transcript, consent=consent, text_prefix=prefix, language=language
        ),
    )


@voices.command()
def create(
    name: NameOption,
    gender: Annotated[Gender | None, typer.Option(help="female or male")] = None,
    pitch: Annotated[Level, typer.Option(help="very_low, low, moderate, high or very_high")] = "moderate",
    speed: Annotated[Level, typer.Option(help="Same values as --pitch.")] = "moderate",
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Selects one of the voices with these attributes.")
    ] = 0,
    global_tokens: Annotated[
        str | None, typer.Option(help="32 global tokens instead of attributes: a JSON list, or a file with one.")
    ] = None,
    semantic_tokens: Annotated[str | None, typer.Option(help="The semantic tokens of --transcript.")] = None,
    transcript: Annotated[str | None, typer.Option(help="The words of --semantic-tokens.")] = None,
    consent: ConsentOption = None,
    text_prefix: PrefixOption = "",
    language: LanguageOption = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    language_model: LanguageModelOption = None,
) -> None:
    """Create a voice from attributes (--gender) or from tokens (--global-tokens)."""
    settings, prefix = command_settings(config, model, language_model).engine, text_prefix
    if (gender is None) == (global_tokens is None):
        raise InvalidRequest("A voice is made from --gender or from --global-tokens: give one of them.")
    if gender:
        attributes = VoiceAttributes(gender, pitch, speed, seed)
        _make(settings, lambda made: made.voices.create(name, attributes, text_prefix=prefix, language=language))
        return
    tokens = given_tokens(_content(global_tokens) or "", _content(semantic_tokens), transcript)
    _make(
        settings,
        lambda made: made.voices.add_tokens(name, tokens, consent=consent, text_prefix=prefix, language=language),
    )


@voices.command()
def remove(voice: VoiceArgument, config: ConfigOption = None) -> None:
    """Remove a voice."""
    with _store(load_settings(config).engine) as store:
        try:
            found = _find(store, voice).id
        except UnknownVoice:
            found = voice  # the id of a damaged voice, which is not listed
        store.delete(found, caller=None)
    console.print(f"Removed {voice} ({found}).", soft_wrap=True)


@voices.command("export")
def export_file(
    voice: VoiceArgument,
    file: Annotated[Path, typer.Argument(help="The file to write, which must not exist.")],
    config: ConfigOption = None,
) -> None:
    """Export a voice with its sample and tokens to a file, for another server."""
    with _store(load_settings(config).engine) as store:
        exported = export_voice(store, _find(store, voice))
    file.touch(0o600, exist_ok=False)
    file.write_bytes(exported)
    console.print(
        f"Exported the voice to {file}. Only you can read the file; protect it like a recording.", soft_wrap=True
    )


@voices.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(help="An exported voice, or speakers in JSON as fine-tunes publish them.", dir_okay=False)
    ],
    name: Annotated[str | None, typer.Option(help="A new name for the voice.")] = None,
    consent: ConsentOption = None,
    config: ConfigOption = None,
) -> None:
    """Import a voice from another server, or the speakers of a fine-tune, as shared voices."""
    settings, data = load_settings(config), file.read_bytes()
    with _store(settings.engine) as store:
        if data.lstrip()[:1] not in (b"{", b"["):
            _tell(import_voice(store, data, settings.engine, name, consent))
            return
        if name:
            raise InvalidRequest("A file of speakers has their names; --name is for an exported voice.")
        for voice in import_speakers(store, data, settings.engine, consent):
            _tell(voice)


@contextmanager
def _store(config: EngineConfig) -> Generator[VoiceStore, None, None]:
    database = open_database(config)
    try:
        yield VoiceStore(database)
    finally:
        database.close()


def _all(store: VoiceStore) -> Generator[Voice, None, None]:
    after: str | None = None
    while page := store.page(None, after, PAGE):
        yield from page
        after = page[-1].id


def _find(store: VoiceStore, name_or_id: str) -> Voice:
    """Return the voice with this name or id; raises InvalidRequest if several owners' voices have the name."""
    found = [voice for voice in _all(store) if name_or_id in (voice.id, voice.name)]
    if not found:
        raise UnknownVoice(name_or_id)
    if len(found) > 1:
        ids = ", ".join(f"{voice.id} (of {voice.owner or 'nobody'})" for voice in found)
        raise InvalidRequest(f"Several voices are named {name_or_id!r}; select one by its id: {ids}.")
    return found[0]


def _content(given: str | None) -> str | None:
    """The content of a file of this name, or what was given itself."""
    path = Path(given or "")
    try:
        return path.read_text(encoding="utf-8") if given and path.is_file() else given
    except (OSError, UnicodeDecodeError):  # a list is not a path, and can be too long for one
        return given


def _make(config: EngineConfig, make: Callable[[SpeechEngine], Awaitable[Voice]]) -> None:
    async def run() -> Voice:
        engine = await asyncio.to_thread(SpeechEngine.load, config)
        try:
            return await make(engine)
        finally:
            await engine.close()

    _tell(asyncio.run(run()))


def _tell(voice: Voice) -> None:
    for warning in voice.warnings:
        console.print(Text.assemble(("Note:", "yellow"), f" {warning}"), soft_wrap=True)
    console.print(f"{voice.name} is ready: {voice.id}", soft_wrap=True)
