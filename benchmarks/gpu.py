"""Checks and measures the engine on a CUDA GPU: `scripts/gpu-report`.

It makes a full-size synthetic checkpoint (4 GB, a minute) in a temporary directory, compares the codec with the golden
numbers and the language model with transformers, then measures windows and steps with and without CUDA graphs, and
streams. After `--seconds` it begins nothing new. `--device cpu --size small` tries the script itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2ForCausalLM

from benchmarks.following import FollowGrammar
from benchmarks.timing import seconds, synchronised
from engine.checkpoints.synthetic import write_checkpoint
from engine.codec.bicodec import BiCodec
from engine.codec.form import CodecForm
from engine.codec.kernels import compiled_for_cuda
from engine.codec.windows import WindowPlan, Windows
from engine.config import Precision, Size
from engine.llm.base import Chunk
from engine.llm.pytorch.runner import TorchModelRunner
from engine.llm.scheduler import Scheduler
from engine.runtime.batching import Batcher
from engine.tokens.grammar import ACCEPTED, Grammar
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import ClonedVoiceTokens, Passage, Prompt, Sampling

ROOT = Path(__file__).resolve().parents[1]
GREEDY_IDS = 40  # compared
STEP_WIDTHS = (1, 8, 64)
CONTEXT = 512
FRAMES = (24, 150)  # of the windows that are timed


@dataclass
class Report:
    """The checkpoint, the device, and the rows found so far."""

    checkpoint: Path
    device: torch.device
    size: Size
    deadline: float
    rows: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vocabulary = Vocabulary(self.checkpoint / "LLM" / "tokenizer.json")
        self.grammar = Grammar(self.vocabulary)
        with np.load(ROOT / "tests/golden/small.npz") as small, np.load(ROOT / f"tests/golden/{self.size}.npz") as own:
            self.golden = {"wav_16k": small["wav_16k"], **own}
        self.voice = self.golden["global_tokens"]

    def add(self, what: str, found: str) -> None:
        """Add a row, and show it at once on stderr."""
        self.rows.append((what, found))
        sys.stderr.write(f"{what}: {found}\n")

    def prompt(self, number: int = 0) -> Prompt:
        """A prompt in the golden voice."""
        return Prompts(self.vocabulary).speak(f"This is sentence number {number}.", ClonedVoiceTokens(self.voice))

    def codec(self, precision: Precision, *, fixed: bool) -> BiCodec:
        """The codec on the device, at fixed shapes with compiled activations, or at the shapes that come."""
        dtype = getattr(torch, precision)
        cuda = fixed and self.device.type == "cuda"
        form = CodecForm(dtype, fused=compiled_for_cuda(dtype, self.device) if cuda else None)
        return BiCodec.from_checkpoint(self.checkpoint, device=self.device, form=form, fixed=fixed)

    def runner(self, precision: Precision, slots: int, *, fixed: bool) -> TorchModelRunner:
        """The language model on the device."""
        return TorchModelRunner(
            self.checkpoint / "LLM",
            self.grammar.ids,
            slots=slots,
            context=CONTEXT,
            device=self.device,
            precision=precision,
            fixed=fixed,
        )


def shapes(fixed: bool) -> str:
    """How rows call the two ways."""
    return "fixed shapes (CUDA graphs)" if fixed else "exact shapes"


def check_codec(report: Report) -> None:
    """Compare both precisions with the golden numbers, and time windows, with and without graphs."""
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision, fixed in product(precisions, (False, True)):
        name = f"codec, {precision}, {shapes(fixed)}"
        begin = synchronised(report.device)
        codec = report.codec(precision, fixed=fixed)
        report.add(f"{name}: load", f"{synchronised(report.device) - begin:.1f} s")
        compare_codec(report, codec, name)
        for frames, batch in product(FRAMES, (1, 16)):
            passages = [Passage(np.arange(frames) % codec.codebook_size, report.voice)] * batch
            took = seconds(partial(codec.decode_batch, passages), report.device, 5)
            what = f"{name}: {batch} windows of {frames} frames; s per s of audio"
            report.add(what, f"{took * 1e3:.1f} ms; {took / batch / frames * 50:.4f}")
        del codec
        gc.collect()


def compare_codec(report: Report, codec: BiCodec, name: str) -> None:
    """Compare a codec with the golden samples and, in float32, the golden tokens."""
    golden = report.golden
    found, expected = codec.decode(golden["decode_semantic_tokens"], report.voice), golden["decode_wave"]
    ratio = 10 * np.log10(np.mean(expected**2) / np.mean((expected - found) ** 2))
    report.add(f"{name}: signal to noise against the golden samples", f"{ratio:.1f} dB")
    if codec.dtype == torch.float32:
        voice, semantic = codec.encode(golden["wav_16k"])
        same = np.mean(semantic == golden["semantic_tokens"]), np.mean(voice == report.voice)
        report.add(f"{name}: golden semantic and global tokens", f"{same[0]:.1%}, {same[1]:.1%}")


def greedy(report: Report, runner: TorchModelRunner, ids: tuple[int, ...]) -> list[int]:
    """The greedy answer of the runner, under the grammar of speech."""
    grammar, state = report.grammar, report.grammar.start(report.prompt().answer)
    allowed = torch.from_numpy(grammar.allowed).to(report.device)
    logits, found = runner.prefill([Chunk(0, ids, 0)])[0], []
    for position in range(GREEDY_IDS):
        row = int(logits.float().masked_fill(~allowed[state], -torch.inf).argmax())
        state = grammar.advance(state, row)
        found.append(int(grammar.ids[row]))
        if state == ACCEPTED:
            break
        logits = runner.decode([0], [row], [len(ids) + position])[0]
    return found


def check_language_model(report: Report) -> None:
    """Compare the greedy ids in float32 with those of transformers on the same device, with and without graphs."""
    prompt = report.prompt()
    model: Any = Qwen2ForCausalLM.from_pretrained(report.checkpoint / "LLM", dtype=torch.float32)
    model.to(report.device).eval()
    with torch.inference_mode():
        output = model.generate(
            torch.tensor([prompt.ids], device=report.device),
            do_sample=False,
            max_new_tokens=GREEDY_IDS,
            logits_processor=[FollowGrammar(report.grammar, prompt)],
            eos_token_id=list(report.vocabulary.ends),
        )
    expected = output[0, len(prompt.ids) :].tolist()
    del model
    cases: list[tuple[Precision, bool]] = [("float32", False), ("float32", True), ("bfloat16", True)]
    for precision, fixed in cases:
        found = greedy(report, report.runner(precision, 4, fixed=fixed), prompt.ids)
        same = next((n for n, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), len(expected))
        what = f"greedy ids until the first that is not transformers', {precision}, {shapes(fixed)}"
        report.add(what, f"{same} of {len(expected)}")


def measure_steps(report: Report, widths: tuple[int, ...]) -> None:
    """Time decode steps in bfloat16, and prompts together, with and without graphs."""
    ids = report.prompt().ids
    for fixed in (False, True):
        begin = synchronised(report.device)
        runner = report.runner("bfloat16", max(widths), fixed=fixed)
        name = f"bfloat16, {shapes(fixed)}"
        report.add(f"language model, {name}: load", f"{synchronised(report.device) - begin:.1f} s")
        for width in widths:
            report.add(f"{name}: {width} prompts of {len(ids)} ids; a step of {width}", step_times(runner, ids, width))
        del runner
        gc.collect()


def step_times(runner: TorchModelRunner, ids: tuple[int, ...], width: int) -> str:
    """The times of `width` prompts in one pass, and of a step after them."""
    slots = list(range(width))
    chunks = [Chunk(slot, ids, 0) for slot in slots]
    prompts = seconds(lambda: runner.prefill(chunks), runner.device, 3)
    positions = [len(ids)] * width
    step = seconds(lambda: runner.decode(slots, [5] * width, positions).argmax(1).tolist(), runner.device, 20)
    return f"{prompts * 1e3:.1f} ms; {step * 1e3:.2f} ms, {width / step:.0f} tokens/s"


async def stream(
    report: Report, model: Scheduler, batcher: Batcher, codec: BiCodec, number: int, tokens: int
) -> tuple[float, float]:
    """Generate and decode one sentence in windows; the seconds to its first samples, and to its last."""
    begin, first = time.perf_counter(), 0.0
    taken: list[int] = []
    windows = Windows(WindowPlan())

    async def decode(ended: bool) -> None:
        nonlocal first
        while window := windows.next(len(taken), ended=ended):
            part = np.array(taken[window.start : window.end])
            kept = slice(window.keep_start - window.start, window.keep_end - window.start)
            await batcher.run(codec.decode_batch, Passage(part, report.voice, kept), len(part), due=begin)
            first = first or time.perf_counter() - begin

    sampling = Sampling(seed=number, max_tokens=tokens)
    async with aclosing(model.generate(report.prompt(number), sampling)) as answer:
        async for ids in answer:
            taken += [token - report.vocabulary.semantic.first for token in ids]
            await decode(ended=False)
    await decode(ended=True)
    return first, time.perf_counter() - begin


async def measure_streams(report: Report, levels: list[int], tokens: int) -> None:
    """Measure sentences that begin together: language model and codec in bfloat16, in threads of their own."""
    fixed = report.device.type == "cuda"
    codec, runner = report.codec("bfloat16", fixed=fixed), report.runner("bfloat16", max(levels), fixed=fixed)
    model, batcher = Scheduler(runner, report.grammar), Batcher("codec", 600)
    await stream(report, model, batcher, codec, 0, tokens)
    for level in levels:
        if time.monotonic() > report.deadline:
            report.add(f"{level} streams", "not measured: no time left")
            continue
        begin = time.perf_counter()
        found = await asyncio.gather(*(stream(report, model, batcher, codec, n, tokens) for n in range(level)))
        took, audio = time.perf_counter() - begin, tokens / 50
        firsts, ends = ([one[index] for one in found] for index in (0, 1))
        report.add(
            f"{level} streams of {audio:g} s: first audio median and last; real-time factor; audio s per s",
            f"{statistics.median(firsts):.3f} s, {max(firsts):.3f} s; "
            f"{statistics.median(ends) / audio:.3f}; {level * audio / took:.1f}",
        )
    await model.close()
    await batcher.close()
    if fixed:
        report.add(
            f"GPU memory at most, {max(levels)} slots of {CONTEXT} ids",
            f"{torch.cuda.max_memory_reserved() / 1e9:.1f} GB",
        )


def main() -> str | None:
    """Print the table; return an error's line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="full", choices=("small", "full"))
    parser.add_argument("--streams", default="1,2,4,8,16,32,64", help="sentences at once")
    parser.add_argument("--tokens", type=int, default=250, help="of each sentence; 50 are a second")
    parser.add_argument("--seconds", type=float, default=420, help="after these nothing new is begun")
    asked = parser.parse_args()
    begin = time.monotonic()
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        return f"There is no CUDA device: torch {torch.__version__} finds none. Nothing was measured."
    levels = [int(level) for level in asked.streams.split(",")]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {os.cpu_count()} cores"
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = Path(directory) / "checkpoint"
        write_checkpoint(checkpoint, asked.size)
        report = Report(checkpoint, device, asked.size, begin + asked.seconds)
        report.add("checkpoint", f"{asked.size} size, made in {time.monotonic() - begin:.0f} s")
        run(report, levels, asked.tokens)
    lines = [f"{name}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}, {time.monotonic() - begin:.0f} s in all"]
    lines += ["", "| what | found |", "|---|---|", *(f"| {what} | {found} |" for what, found in report.rows)]
    sys.stdout.write("\n".join(lines) + "\n")
    return None


def run(report: Report, levels: list[int], tokens: int) -> None:
    """Add every part's rows; a part that fails is told, and the others still run."""
    parts: dict[str, Callable[[], None]] = {
        "codec": lambda: check_codec(report),
        "greedy ids": lambda: check_language_model(report),
        "steps": lambda: measure_steps(report, STEP_WIDTHS if report.size == "full" else (1, 2)),
        "streams": lambda: asyncio.run(measure_streams(report, levels, tokens)),
    }
    for name, part in parts.items():
        if time.monotonic() > report.deadline:
            report.add(name, "not measured: no time left")
            continue
        try:
            part()
        except Exception as error:
            report.add(name, f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
