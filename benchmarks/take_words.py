"""What an independent recogniser understands of the demo model, without checks and with them.

    python -m benchmarks.take_words [--listener URL]

The judge is Whisper "base" (`make listener`). With `--listener`, a server with OpenAI's transcriptions, such as
faster-whisper-server, the sentences are also verified; the listener should be another model than the judge.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx2
import numpy as np
import typer
from rich.console import Console

from benchmarks.serving import served
from demo.hearing import errors, hear, units
from demo.texts import held_out, listened
from engine import EngineConfig, ListenerConfig, Samples
from server.bench.client import takes_so_far
from server.settings import Settings

VOICES = ("alloy", "nova", "onyx", "shimmer")
CLIENTS = 4
HEARD_AT_ONCE = 25  # recordings; each time the judge loads its weights
console = Console(markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to ask for a sentence."""

    name: str
    fields: dict[str, int | bool]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a server answered: PCM at 16 kHz for each sentence, those with a warning, and all takes by outcome."""

    audio: list[bytes]
    warned: int
    takes: Counter[str]


def texts(count: int) -> list[str]:
    """So many sentences, in turn."""
    known = [*listened(), *held_out()]
    return [known[n % len(known)] for n in range(count)]


async def ask(url: str, way: Way, count: int) -> Answers:
    """Have all sentences spoken, by some clients at once. The voices and seeds do not depend on the way."""
    async with httpx2.AsyncClient(base_url=url, timeout=None, trust_env=False) as http:
        before = await takes_so_far(http)
        clients = asyncio.Semaphore(CLIENTS)

        async def say(number: int, text: str) -> tuple[bytes, bool]:
            voice = VOICES[number % len(VOICES)]
            body = {"model": "tts-1", "input": text, "voice": voice, "seed": number, "stream": False}
            async with clients:
                answer = await http.post(
                    "/v1/audio/speech", json={**body, "response_format": "pcm", "sample_rate": 16_000, **way.fields}
                )
            return answer.raise_for_status().content, "X-Speech-Warnings" in answer.headers

        said = await asyncio.gather(*(say(number, text) for number, text in enumerate(texts(count))))
        after = await takes_so_far(http)
    assert before is not None
    assert after is not None
    return Answers([audio for audio, _ in said], sum(warned for _, warned in said), after - before)


class Judge:
    """Hears each recording once: most are the same without checks and with them."""

    def __init__(self) -> None:
        self._heard: dict[bytes, str] = {}

    def hear(self, recordings: list[bytes]) -> list[str]:
        """What is understood of PCM at 16 kHz."""
        new = [audio for audio in dict.fromkeys(recordings) if audio not in self._heard]
        for begin in range(0, len(new), HEARD_AT_ONCE):
            some = new[begin : begin + HEARD_AT_ONCE]
            heard = hear([_samples(audio) for audio in some])
            self._heard |= {audio: what.text for audio, what in zip(some, heard, strict=True)}
        return [self._heard[audio] for audio in recordings]


def _samples(audio: bytes) -> Samples:
    return np.frombuffer(audio, "<i2").astype(np.float32) / np.float32(32_768)


def row(way: Way, answers: Answers, heard: list[str]) -> str:
    """A row of the table."""
    pairs = [(units(text), units(other)) for text, other in zip(texts(len(heard)), heard, strict=True)]
    wrong = [errors(*pair) for pair in pairs]
    words = sum(len(said) for said, _ in pairs)
    lost = sum(2 * count > len(said) for count, (said, _) in zip(wrong, pairs, strict=True))
    failed = ", ".join(f"{n} {fault}" for fault, n in sorted(answers.takes.items()) if n and fault != "passed")
    return f"| {way.name} | {failed or 0} | {answers.warned} | {100 * sum(wrong) / words:.1f} % | {lost} |"


def main(
    model: Annotated[str, typer.Option(help="demo, or a checkpoint's directory.")] = "demo",
    sentences: Annotated[int, typer.Option(help="How many.")] = 500,
    listener: Annotated[str | None, typer.Option(help="The address of a server with transcriptions.")] = None,
    max_error_rate: Annotated[float, typer.Option(help="Of a sentence that the listener lets pass.")] = 0.25,
) -> None:
    """Print a Markdown table."""
    ways = [Way("0", {"retakes": 0}), Way("2", {"retakes": 2})]
    if listener:
        ways.append(Way("2, verified", {"retakes": 2, "verify": True}))
    with TemporaryDirectory() as directory:
        engine = EngineConfig(
            model=model,
            data_directory=Path(directory),
            listener=ListenerConfig(url=listener, max_error_rate=max_error_rate, seconds=120) if listener else None,
        )
        judge = Judge()
        console.print("| retakes | takes that failed | warnings | word error rate | over half of the words wrong |")
        console.print("|---|---|---|---|---|")
        with served(Settings(engine=engine, deadline_seconds=3600, watchdog_seconds=0)) as server:
            for way in ways:
                answers = asyncio.run(ask(server.url, way, sentences))
                console.print(row(way, answers, judge.hear(answers.audio)))


if __name__ == "__main__":
    typer.run(main)
