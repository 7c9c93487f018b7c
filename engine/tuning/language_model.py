"""Times the backends of the language model on a CPU."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from engine.checkpoints import Checkpoint
from engine.config import EngineConfig
from engine.errors import EngineError
from engine.llm.base import Chunk, ModelRunner
from engine.llm.registry import load_runner
from engine.llm.selection import Host, LlamaCpp, Torch
from engine.tokens.grammar import Grammar
from engine.tuning.tables import LanguageModelRow

logger = logging.getLogger(__name__)

CONTEXT = 256
PROMPT = 32  # ids
STEPS = 12  # whose distributions are compared
LEAST_ROUNDS, MOST_ROUNDS = 3, 20
ENOUGH_SECONDS = 0.5  # then fewer than MOST_ROUNDS are measured


def language_model_rows(
    checkpoint: Checkpoint, config: EngineConfig, grammar: Grammar, host: Host, out_of_time: Callable[[], bool]
) -> Iterator[LanguageModelRow]:
    """Measure what the settings allow, the fastest as a rule first: what is left when the time is up is not measured.

    All distributions are compared with those of torch in float32. What this host cannot compute is left out.
    """
    small = config.model_copy(update={"max_context": CONTEXT})
    candidates: list[Torch | LlamaCpp] = [Torch("int8"), Torch("bfloat16")] if config.backend != "llama-cpp" else []
    candidates += [LlamaCpp("q8_0")] if host.llama and config.backend != "torch" else []
    candidates += [Torch("float32")]
    reference = _logits(load_runner(checkpoint, grammar, small, Torch("float32")), grammar)
    found = 0
    for candidate in candidates:
        if found and out_of_time():
            break
        gc.collect()
        try:
            yield _row(load_runner(checkpoint, grammar, small, candidate), candidate, reference, grammar)
            found += 1
        except EngineError as error:
            logger.warning("%s is not measured: %s", candidate, error)


def _row(runner: ModelRunner, candidate: Torch | LlamaCpp, reference: Tensor, grammar: Grammar) -> LanguageModelRow:
    divergence = _divergence(reference, _logits(runner, grammar))
    rates = {width: _rate(runner, grammar, width) for width in widths(runner.slots)}
    backend, precision = (
        ("torch", candidate.precision) if isinstance(candidate, Torch) else ("llama-cpp", candidate.quantization)
    )
    return LanguageModelRow(backend=backend, precision=precision, rates=rates, divergence=divergence)


def widths(most: int) -> list[int]:
    """The powers of two up to `most`, and `most`: numbers of sequences."""
    return sorted({most, *(2**n for n in range(most.bit_length()) if 2**n <= most)})


@torch.inference_mode()
def _logits(runner: ModelRunner, grammar: Grammar) -> Tensor:
    """The logits (STEPS, rows) after a fixed sequence."""
    rng = np.random.default_rng(0)
    prompt = [int(grammar.ids[row]) for row in rng.integers(0, len(grammar.ids), PROMPT)]
    runner.prefill([Chunk(0, prompt, 0)])
    steps = []
    for step, row in enumerate(rng.integers(0, len(grammar.ids), STEPS).tolist()):
        steps.append(runner.decode([0], [row], [PROMPT + step])[0].float().clone())
    runner.release(0)
    return torch.stack(steps)


@torch.inference_mode()
def _rate(runner: ModelRunner, grammar: Grammar, width: int) -> float:
    """Tokens per second of `width` sequences."""
    slots = list(range(width))
    prompt = [int(id_) for id_ in grammar.ids[:PROMPT]]
    for slot in slots:
        runner.prefill([Chunk(slot, prompt, 0)])
    runner.decode(slots, slots, [PROMPT] * width)  # warms up
    seconds: list[float] = []
    while len(seconds) < LEAST_ROUNDS or (len(seconds) < MOST_ROUNDS and sum(seconds) < ENOUGH_SECONDS):
        begin = time.perf_counter()
        runner.decode(slots, slots, [PROMPT + 1 + len(seconds)] * width)
        seconds.append(time.perf_counter() - begin)
    for slot in slots:
        runner.release(slot)
    return width / min(seconds)


def _divergence(reference: Tensor, logits: Tensor) -> float:
    """The mean divergence of the distributions, in nats."""
    p, q = reference.double().log_softmax(-1), logits.double().log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())
