"""What an independent recogniser understands of the demo model, without checks, with them, and verified.

    python -m benchmarks.take_words [--keep DIRECTORY]

The judge is Whisper "base"; the listener that verifies is Whisper "tiny.en" (`make listener`), or another server of
transcriptions (`--listener URL`). With `--keep`, a run that was stopped goes on where it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx2
import numpy as np
import typer
from rich.console import Console

from benchmarks.listener import whisper_server
from benchmarks.serving import served
from demo.hearing import errors, hear, units
from demo.texts import held_out, listened
from engine import EngineConfig, ListenerConfig, Samples
from server.bench.client import takes_so_far
from server.settings import Settings

VOICES = ("alloy", "nova", "onyx", "shimmer")
CLIENTS = 4
BATCH = 25  # sentences that are asked for, heard and kept together; each time the judge loads its weights
console = Console(markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to ask for a sentence."""

    name: str
    fields: dict[str, int | bool]


WAYS = (Way("0", {"retakes": 0}), Way("2", {"retakes": 2}), Way("2, verified", {"retakes": 2, "verify": True}))


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of some sentences: the warnings, and all takes by outcome.

    `heard` has the judge's text by the digest of a recording, as most are the same in each way. `answers` are the
    digests of the sentences' recordings.
    """

    heard: dict[str, str]
    answers: list[str]
    warned: int
    takes: dict[str, int]


def texts(count: int) -> list[str]:
    """So many sentences, in turn."""
    known = [*listened(), *held_out()]
    return [known[n % len(known)] for n in range(count)]


async def ask(url: str, way: Way, sentences: list[tuple[int, str]]) -> tuple[list[bytes], int, Counter[str]]:
    """Have sentences spoken, by some clients at once; return PCM at 16 kHz, the warnings, and the takes.

    The voices and seeds depend on the sentences' numbers, and not on the way.
    """
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

        said = await asyncio.gather(*(say(number, text) for number, text in sentences))
        after = await takes_so_far(http)
    assert before is not None
    assert after is not None
    return [audio for audio, _ in said], sum(warned for _, warned in said), after - before


def batch(url: str, way: Way, sentences: list[tuple[int, str]], heard: dict[str, str]) -> Batch:
    """Ask for sentences, and have the judge hear the recordings that are not in `heard`, which are added to it."""
    recordings, warned, takes = asyncio.run(ask(url, way, sentences))
    answers = [hashlib.sha256(audio).hexdigest()[:16] for audio in recordings]
    new = {digest: audio for digest, audio in zip(answers, recordings, strict=True) if digest not in heard}
    texts = [one.text for one in hear([_samples(audio) for audio in new.values()])] if new else []
    heard |= dict(zip(new, texts, strict=True))
    return Batch({digest: heard[digest] for digest in answers}, answers, warned, dict(takes))


def _samples(audio: bytes) -> Samples:
    return np.frombuffer(audio, "<i2").astype(np.float32) / np.float32(32_768)


def row(way: Way, batches: list[Batch]) -> str:
    """A row of the table."""
    heard = [one.heard[digest] for one in batches for digest in one.answers]
    takes = sum((Counter(one.takes) for one in batches), Counter[str]())
    pairs = [(units(text), units(other)) for text, other in zip(texts(len(heard)), heard, strict=True)]
    wrong = [errors(*pair) for pair in pairs]
    words = sum(len(said) for said, _ in pairs)
    lost = sum(2 * count > len(said) for count, (said, _) in zip(wrong, pairs, strict=True))
    failed = ", ".join(f"{n} {fault}" for fault, n in sorted(takes.items()) if n and fault != "passed")
    warned = sum(one.warned for one in batches)
    return f"| {way.name} | {failed or 0} | {warned} | {100 * sum(wrong) / words:.1f} % | {lost} |"


def main(
    model: Annotated[str, typer.Option(help="demo, or a checkpoint's directory.")] = "demo",
    sentences: Annotated[int, typer.Option(help="How many.")] = 500,
    listener: Annotated[str | None, typer.Option(help="The address of a server with transcriptions.")] = None,
    max_error_rate: Annotated[float, typer.Option(help="Of a sentence that the listener lets pass.")] = 0.25,
    keep: Annotated[Path | None, typer.Option(help="A directory for what was heard so far, of one model.")] = None,
) -> None:
    """Print a Markdown table."""
    numbered = list(enumerate(texts(sentences)))
    parts = [numbered[begin : begin + BATCH] for begin in range(0, sentences, BATCH)]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        keep = keep or directory / "kept"
        keep.mkdir(parents=True, exist_ok=True)
        url = listener or stack.enter_context(whisper_server())
        engine = EngineConfig(
            model=model,
            data_directory=directory,
            listener=ListenerConfig(url=url, max_error_rate=max_error_rate, seconds=120),
        )
        server = stack.enter_context(served(Settings(engine=engine, deadline_seconds=3600, watchdog_seconds=0)))
        console.print("| retakes | takes that failed | warnings | word error rate | over half of the words wrong |")
        console.print("|---|---|---|---|---|")
        heard: dict[str, str] = {}
        for way in WAYS:
            batches = []
            for part in parts:
                first, last = part[0][0], part[-1][0]
                file = keep / f"{way.name.replace(', ', '-')}-{first}-{last}.json"
                if file.exists():
                    done = Batch(**json.loads(file.read_text()))
                    heard |= done.heard
                else:
                    done = batch(server.url, way, part, heard)
                    unfinished = file.with_suffix(".part")
                    unfinished.write_text(json.dumps(asdict(done)))
                    unfinished.rename(file)
                batches.append(done)
            console.print(row(way, batches))


if __name__ == "__main__":
    typer.run(main)
