"""Takes over HTTP: which faults are heard, and what the checks cost.

    python -m benchmarks.takes faults     a language model that faults on purpose, several clients at once
    python -m benchmarks.takes cost       the processor time of the demo model's server, with checks and without

The faulty model says the teacher's tokens: espeak-ng's speech, encoded by the demo's encoder. A fault is heard if what
arrives at a client differs by more than 0.3 s from what it is without faults: tokens that are missing, other tokens, or
too many (their Levenshtein distance).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx2
import numpy as np
import typer
from rich.console import Console

from benchmarks.faulty import faulty_engine, heard_tokens, is_noticed
from benchmarks.serving import Served, served
from demo.teacher import Teacher
from demo.texts import held_out, listened
from engine import EngineConfig
from engine.checkpoints.layout import demo_directory
from engine.codec.bicodec import BiCodec
from engine.rates import TEXTS
from server.bench.client import failed_takes, takes_so_far
from server.settings import Settings

CLIENTS = 8
TOGETHER = 4  # sentences of each second request
SHORTEST = 40  # characters of a text; the engine says shorter sentences together with the next
AROUND = (1600, 3200)  # samples of silence around the teacher's speech, as models make it
BEFORE = ("Hello.", TEXTS["en"])  # what an engine says before any request
DEMO = demo_directory()
ModelOption = Annotated[Path, typer.Option(help="A checkpoint of the demo model's kind.")]
console = Console(markup=False, highlight=False, soft_wrap=True)
app = typer.Typer(pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Lessons:
    """The teacher's tokens by text, and the tokens of silence."""

    said: dict[str, list[int]]
    silent: list[int]

    @property
    def texts(self) -> list[str]:
        """The texts of the requests."""
        return [text for text in self.said if text not in BEFORE]


@dataclass(slots=True)
class Heard:
    """The answers to some requests: their tokens, and the warnings that came with them."""

    answers: list[list[int]]
    warned: list[bool]
    takes: Counter[str] = field(default_factory=Counter)


def lessons(model: Path, count: int) -> Lessons:
    """Have the teacher say sentences, and encode them."""
    teacher, codec = Teacher(), BiCodec.from_checkpoint(model)
    silent = codec.encode_batch([np.zeros(32_000, np.float32)])[0][1]
    said = {}
    texts = [text for text in (*listened(), *held_out()) if len(text) >= SHORTEST]
    for text in (*BEFORE, *texts[:count]):
        samples = np.pad(teacher.speak(text).samples, AROUND)
        said[text] = codec.encode_batch([samples])[0][1].tolist()
    return Lessons(said, sorted(set(silent.tolist())))


def requests(texts: Sequence[str], sentences: int) -> list[str]:
    """The inputs: one sentence and TOGETHER sentences in turn."""
    inputs: list[str] = []
    number = 0
    while number < sentences:
        count = min(TOGETHER if len(inputs) % 2 else 1, sentences - number)
        inputs.append(" ".join(texts[(number + n) % len(texts)] for n in range(count)))
        number += count
    return inputs


async def ask(server: Served, inputs: Sequence[str], *, stream: bool, retakes: int) -> Heard:
    """Have all inputs spoken, by some clients at once, each with its number as seed."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=None, trust_env=False) as http:
        clients = asyncio.Semaphore(CLIENTS)
        before = await takes_so_far(http)

        async def say(number: int, text: str) -> tuple[list[int], bool]:
            body = {"model": "tts-1", "voice": "alloy", "input": text, "seed": number, "retakes": retakes}
            body |= {"response_format": "pcm", "sample_rate": 16_000, "stream": stream}
            async with clients, http.stream("POST", "/v1/audio/speech", json=body) as answer:
                data = b"".join([piece async for piece in answer.raise_for_status().aiter_bytes()])
            samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32_768)
            return heard_tokens(samples), "X-Speech-Warnings" in answer.headers

        said = await asyncio.gather(*(say(number, text) for number, text in enumerate(inputs)))
        after = await takes_so_far(http)
    assert before is not None
    assert after is not None
    return Heard([tokens for tokens, _ in said], [warned for _, warned in said], after - before)


@app.command()
def faults(
    model: ModelOption = DEMO,
    sentences: Annotated[int, typer.Option(help="How many, in requests of one and of four.")] = 1000,
    texts: Annotated[int, typer.Option(help="How many different ones.")] = 100,
    rate: Annotated[float, typer.Option(help="The share of takes with a fault.")] = 0.1,
) -> None:
    """Print a Markdown table: the faults that a faulty model makes, and those that are heard."""
    taught = lessons(model, texts)
    inputs = requests(taught.texts, sentences)
    with TemporaryDirectory() as directory:
        config = EngineConfig(data_directory=Path(directory))
        settings = Settings(engine=config, max_requests=CLIENTS, watchdog_seconds=0)
        load = partial(
            faulty_engine,
            config=config,
            tokenizer=model / "LLM/tokenizer.json",
            said=taught.said,
            silent=taught.silent,
        )
        with served(settings, partial(load, rate=0)) as server:
            clean = asyncio.run(ask(server, inputs, stream=False, retakes=2))
        found: list[tuple[str, Heard]] = []
        with served(settings, partial(load, rate=rate)) as server:
            for name, stream, retakes in (("whole", False, 2), ("streamed", True, 2), ("whole", False, 0)):
                heard = asyncio.run(ask(server, inputs, stream=stream, retakes=retakes))
                found.append((f"{sentences} sentences, {name}, retakes {retakes}", heard))
    console.print("| | takes | takes that failed | faults that are heard | of these with a warning |")
    console.print("|---|---|---|---|---|")
    console.print(f"| {sentences} sentences without faults | {clean.takes.total()} | {failed_takes(clean.takes)} | | |")
    warned = found[0][1].warned  # a stream has begun before it could have the header
    for name, heard in found:
        noticed = list(map(is_noticed, heard.answers, clean.answers))
        said = sum(map(all, zip(noticed, warned, strict=True))) if heard.takes else ""
        takes = f"{heard.takes.total()} | {failed_takes(heard.takes)}" if heard.takes else "|"
        console.print(f"| {name} | {takes} | {sum(noticed)} | {said} |")
    same = sum(one == other for one, other in zip(found[0][1].answers, found[1][1].answers, strict=True))
    console.print(f"\n{len(inputs)} requests, {same} with the same samples whole and streamed.")


@app.command()
def cost(
    model: ModelOption = DEMO,
    pairs: Annotated[int, typer.Option(help="Sentences that are spoken with checks and without.")] = 100,
) -> None:
    """Print what the checks add to the processor time of a server that speaks one sentence after another."""
    texts = held_out()
    with TemporaryDirectory() as directory, httpx2.Client(timeout=None, trust_env=False) as http:
        # One thread: those that wait for others use processor time too.
        config = EngineConfig(model=str(model), data_directory=Path(directory), threads=1)
        with served(Settings(engine=config, watchdog_seconds=0)) as server:

            def seconds(number: int, retakes: int) -> tuple[float, bytes]:
                body = {"model": "tts-1", "voice": "alloy", "input": texts[number % len(texts)], "seed": number}
                body |= {"response_format": "pcm", "retakes": retakes}
                before = server.processor_seconds()
                answer = http.post(f"{server.url}/v1/audio/speech", json=body).raise_for_status()
                return server.processor_seconds() - before, answer.content

            seconds(0, 2)  # the voice and its rate
            with_checks, without = [], []
            for number in range(pairs):
                first, second = (2, 0) if number % 2 else (0, 2)
                used = {first: seconds(number, first), second: seconds(number, second)}
                if used[0][1] == used[2][1]:  # no take failed
                    without.append(used[0][0])
                    with_checks.append(used[2][0])
    more = np.array(with_checks) - np.array(without)
    error = more.std(ddof=1) * len(more) ** 0.5
    console.print(
        f"{len(more)} sentences: {sum(without):.1f} s without checks, {sum(with_checks):.1f} s with them: "
        f"{100 * more.sum() / sum(without):+.1f} %, standard error {100 * error / sum(without):.1f} %"
    )


if __name__ == "__main__":
    app()
