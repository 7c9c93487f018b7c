"""The language model's speed, by backend, precision and number of sequences at once.

    python -m benchmarks.llm CHECKPOINT

One run measures both sides: llama-cpp-python's `generate`, which many servers call with the whole vocabulary for one
client after the other, and this project's backends. Use a full-size checkpoint
(`fast-spark models synthesize DIR --size full`) and an idle machine.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import statistics
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import torch
import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from engine.checkpoints.layout import cache_directory, fingerprint
from engine.config import EngineConfig, Quantization
from engine.llm.base import LanguageModel
from engine.llm.llama_cpp.gguf_file import model_file
from engine.llm.registry import load_language_model
from engine.llm.sampling import sample
from engine.llm.weights import open_weights
from engine.runtime.compute import run_on
from engine.tokens.grammar import Grammar
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import GLOBAL_TOKENS, ClonedVoiceTokens, Prompt, Sampling
from server.bench.markdown import record

Result = TypeVar("Result")
CONTEXT = 1024
WIDTHS = (1, 2, 4, 8, 16, 32)  # sequences at once
VLLM_WIDTHS = (1, 4, 16)  # the same for vLLM, which is slow on a CPU
QUANTIZATIONS = ("float16", "q8_0", "q4_0")
PRECISIONS = ("float32", "int8", "bfloat16", "int4")  # of torch
PROMPTS = (1, 4, 16)  # that begin together
PROMPT = 90  # ids: a created voice and a short sentence


def prompt_of(vocabulary: Vocabulary) -> Prompt:
    """The beginning of a cloned voice's prompt; the steps after it are measured."""
    prompt = Prompts(vocabulary).speak("Hello.", ClonedVoiceTokens(np.arange(GLOBAL_TOKENS)))
    return replace(prompt, ids=prompt.ids[:8])


def high_level(checkpoint: Path, quantization: str, steps: int) -> float:
    """Tokens/s of `llama_cpp.Llama.generate` with the head of the whole vocabulary, for one sequence."""
    from llama_cpp import Llama

    vocabulary = Vocabulary(checkpoint / "LLM" / "tokenizer.json")
    directory = cache_directory() / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to((checkpoint / "LLM" / name).resolve())
    with open_weights(directory) as file:
        everything = np.arange(file.config.vocab_size)
    kind = TypeAdapter[Quantization](Quantization).validate_python(quantization)
    path = model_file(directory, fingerprint(checkpoint), everything, kind, directory)
    model = Llama(str(path), n_ctx=CONTEXT, n_threads=torch.get_num_threads(), verbose=False)
    stamps = []
    for _ in model.generate(list(prompt_of(vocabulary).ids), top_k=50, top_p=0.95, temp=0.8):
        stamps.append(time.perf_counter())
        if len(stamps) > steps:
            break
    model.close()
    return 1 / statistics.median(b - a for a, b in pairwise(stamps))


@asynccontextmanager
async def loaded(checkpoint: Path, backend: str, precision: str, width: int) -> AsyncGenerator[LanguageModel, None]:
    """The language model with `width` slots; as in the engine, one thread loads and steps it."""
    config = EngineConfig.model_validate(
        {"model": str(checkpoint), "backend": backend, "llm_precision": precision, "llm_device": "cpu"}
        | {"max_running": width, "max_context": CONTEXT}
    )
    vocabulary = Vocabulary(checkpoint / "LLM" / "tokenizer.json")
    with ThreadPoolExecutor(1) as cores:
        model = cores.submit(load_language_model, checkpoint, config, vocabulary, run_on(cores)).result()
        yield model
        await model.close()


async def first_ids(checkpoint: Path, backend: str, precision: str) -> list[float]:
    """Seconds until the last of several sequences that begin together has its first id, for each of PROMPTS."""
    prompt = prompt_of(Vocabulary(checkpoint / "LLM" / "tokenizer.json"))
    prompt = replace(prompt, ids=(prompt.ids * PROMPT)[:PROMPT])
    seconds: list[float] = []
    async with loaded(checkpoint, backend, precision, max(PROMPTS)) as model:

        async def first(begin: float) -> float:
            async with aclosing(model.generate(prompt, Sampling(max_tokens=CONTEXT - PROMPT))) as answer:
                await anext(answer)
                return time.perf_counter() - begin

        for width in (1, *PROMPTS):  # the first one warms up
            begin = time.perf_counter()
            seconds.append(max(await asyncio.gather(*(first(begin) for _ in range(width)))))
    return seconds[1:]


async def together(checkpoint: Path, backend: str, precision: str, widths: Sequence[int], steps: int) -> list[float]:
    """Total tokens/s for each number of sequences at once, while all of them generate."""
    async with loaded(checkpoint, backend, precision, max(widths, default=1)) as model:
        prompt = prompt_of(Vocabulary(checkpoint / "LLM" / "tokenizer.json"))
        return [await rate(model, prompt, width, steps) for width in widths]


async def rate(model: LanguageModel, prompt: Prompt, width: int, steps: int) -> float:
    """Total tokens/s of `width` sequences, while all of them generate."""

    async def listen(sampling: Sampling, stamps: list[float], enough: asyncio.Event) -> None:
        async with aclosing(model.generate(prompt, sampling)) as answer:
            async for ids in answer:
                stamps += [time.perf_counter()] * len(ids)
                if enough.is_set():
                    return

    sampling = Sampling(max_tokens=CONTEXT - len(prompt.ids))
    stamps: list[list[float]] = [[] for _ in range(width)]
    enough = asyncio.Event()
    listeners = [asyncio.create_task(listen(replace(sampling, seed=n), own, enough)) for n, own in enumerate(stamps)]
    while min(len(own) for own in stamps) < steps:
        await asyncio.sleep(0.01)
    enough.set()
    await asyncio.gather(*listeners)
    latest = stamps[int(np.argmax([own[0] for own in stamps]))]  # since it joined, all sequences have generated
    return width / statistics.median(b - a for a, b in pairwise(latest[: steps + 1]))


def backend_rates(checkpoint: Path, backend: str, precision: str, widths: Sequence[int], steps: int) -> list[float]:
    """Run `together`."""
    return asyncio.run(together(checkpoint, backend, precision, widths, steps))


def first_id_seconds(checkpoint: Path, backend: str, precision: str) -> list[float]:
    """Run `first_ids`."""
    return asyncio.run(first_ids(checkpoint, backend, precision))


def sampling_time(rows: int, width: int = 8) -> float:
    """The median seconds for sampling a token for each of `width` sequences."""
    logits, allowed = torch.randn(width, rows), torch.ones(width, rows, dtype=torch.bool)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        sample(logits, allowed, [Sampling()] * width, [0.5] * width, ~allowed)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_memory(checkpoint: Path) -> tuple[float, float]:
    """The peak memory in GB with eight sequences at Q8_0, and the memory before the model is loaded."""
    import llama_cpp  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    backend_rates(checkpoint, "llama-cpp", "q8_0", [8], 8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, before / 1e6


def vllm_rates(checkpoint: Path, python: Path, steps: int) -> dict[str, list[float]]:
    """The results of `benchmarks.vllm` in the environment of another Python."""
    command = [str(python), "-m", "benchmarks.vllm", str(checkpoint), "--steps", str(steps)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    rates: dict[str, list[float]] = json.loads(output.splitlines()[-1])
    return rates


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A full-size checkpoint.")],
    steps: Annotated[int, typer.Option(help="Steps that are timed; the median counts.")] = 24,
    width: Annotated[list[int], typer.Option(help="Sequences at once.")] = list(WIDTHS),  # noqa: B006
    quantization: Annotated[list[str], typer.Option(help="Of llama.cpp.")] = list(QUANTIZATIONS),  # noqa: B006
    precision: Annotated[list[str], typer.Option(help="Of torch.")] = list(PRECISIONS),  # noqa: B006
    vllm: Annotated[
        Path | None, typer.Option(help="The Python of an environment with vLLM, to measure it too.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--record", help="A Markdown file to append the tables to.")] = None,
) -> None:
    """Print the tables."""
    console = Console(width=150)
    table = Table("backend", "weights", *(f"{n} at once" for n in width), title="total tokens per second")
    headers = ("backend", "weights", *(f"{n} together" for n in PROMPTS))
    prompts = Table(*headers, title=f"seconds to the last one's first token, prompts of {PROMPT} tokens")
    # Each measurement has its own process: an idle pool of threads that one leaves behind slows down the next.
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as fresh,
        Progress() as bar,
    ):
        task = bar.add_task("Measuring", total=3 * len(quantization) + 2 * len(precision) + 2 + (vllm is not None))

        def measure(function: Callable[..., Result], *arguments: object) -> Result:
            result = fresh.submit(function, *arguments).result()
            bar.advance(task)
            bar.console.log(function.__name__, *arguments[1:], result)
            return result

        single = {weights: measure(high_level, checkpoint, weights, steps) for weights in quantization}
        for weights, rate in single.items():
            table.add_row("Llama.generate", weights, f"{rate:.0f}", *["in turns"] * (len(width) - 1))
        for weights, one in single.items():
            rates = measure(backend_rates, checkpoint, "llama-cpp", weights, width, steps)
            table.add_row("llama-cpp", weights, *(f"{rate:.0f} ({rate / one:.1f} x)" for rate in rates))
            seconds = measure(first_id_seconds, checkpoint, "llama-cpp", weights)
            prompts.add_row("llama-cpp", weights, *(f"{second:.2f}" for second in seconds))
        first = next(iter(single))
        for dtype in precision:
            rates = measure(backend_rates, checkpoint, "torch", dtype, width, steps)
            table.add_row("torch", dtype, *(f"{rate:.0f} ({rate / single[first]:.1f} x)" for rate in rates))
            seconds = measure(first_id_seconds, checkpoint, "torch", dtype)
            prompts.add_row("torch", dtype, *(f"{second:.2f}" for second in seconds))
        for side, rates in (measure(vllm_rates, checkpoint, vllm, steps) if vllm else {}).items():
            at = dict(zip(VLLM_WIDTHS, rates, strict=True))
            table.add_row("vllm", side, *(f"{at[n]:.0f}" if n in at else "" for n in width))
        rows = len(Grammar(Vocabulary(checkpoint / "LLM" / "tokenizer.json")).ids)
        sampling = measure(sampling_time, rows)
        peak, before = measure(peak_memory, checkpoint)
    for result in (table, prompts):
        console.print(result)
    if file is not None:
        record(file, f"python -m benchmarks.llm DIR --steps {steps}", (table, prompts))
    console.print(f"x: relative to Llama.generate with the same weights, for torch with {first}.")
    console.print(f"Sampling 8 tokens from {rows} rows: {sampling * 1e3:.2f} ms.")
    console.print(
        f"Peak memory at q8_0, 8 sequences of {CONTEXT} tokens: {peak:.2f} GB, {before:.2f} GB without a model."
    )


if __name__ == "__main__":
    typer.run(main)
