"""The language model's speed in vLLM: as this project runs it, and with vLLM's own model.

    python -m benchmarks.vllm CHECKPOINT

vLLM's own model computes the head of the whole vocabulary, and `allowed_token_ids` forbids what is not speech. Prints
JSON: the total tokens per second for each number of sequences. `benchmarks.llm --vllm PYTHON` runs it with the Python
of an environment that has vLLM.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.llm import CONTEXT, VLLM_WIDTHS, backend_rates, prompt_of
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary

HIDDEN = 896  # width of the published model


def by_itself(checkpoint: Path, precision: str, widths: Sequence[int], steps: int) -> list[float]:
    """Tokens/s of vLLM's own model with the head of the whole vocabulary."""
    from vllm import SamplingParams
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.inputs import tokens_input
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.async_llm import AsyncLLM

    vocabulary = Vocabulary(checkpoint / "LLM" / "tokenizer.json")
    prompt = tokens_input(list(prompt_of(vocabulary).ids))
    allowed = [*vocabulary.semantic.ids, *vocabulary.ends]

    async def rates() -> list[float]:
        llm = AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model=str(checkpoint / "LLM"),
                dtype=precision,
                max_model_len=CONTEXT,
                max_num_seqs=max(widths),
                skip_tokenizer_init=True,
                generation_config="vllm",
                enable_prefix_caching=False,
                enforce_eager=True,  # as this project does on a CPU
            )
        )

        async def listen(number: int) -> list[float]:
            parameters = SamplingParams(
                temperature=0.8,
                top_k=50,
                top_p=0.95,
                seed=number,
                max_tokens=steps + 8,
                ignore_eos=True,
                allowed_token_ids=allowed,
                detokenize=False,
                output_kind=RequestOutputKind.DELTA,
            )
            return [time.perf_counter() async for _ in llm.generate(prompt, parameters, str(time.monotonic_ns()))]

        found = []
        for width in widths:
            stamps = await asyncio.gather(*map(listen, range(width)))
            latest = max(stamps, key=lambda own: own[0])[: steps + 1]  # since it joined, all sequences have generated
            found.append(width / statistics.median(b - a for a, b in pairwise(latest)))
        llm.shutdown()
        return found

    return asyncio.run(rates())


def head_and_sampler(rows: dict[str, int], widths: Sequence[int], steps: int) -> dict[str, list[float]]:
    """The median ms of the parts that differ, for each number of rows: head, forbidden rows, top-k, top-p, sampling.

    They are measured in turn, so that other load on the machine affects all of them. In float32, with vLLM's sampler.
    """
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p, random_sample

    found: dict[str, list[float]] = {name: [] for name in rows}
    for width in widths:
        x, k, p = torch.randn(width, HIDDEN), torch.full((width,), 50), torch.full((width,), 0.95)
        heads = {name: torch.randn(count, HIDDEN) / HIDDEN**0.5 for name, count in rows.items()}
        times: dict[str, list[float]] = {name: [] for name in rows}
        for _, (name, head) in product(range(steps), heads.items()):
            forbidden = torch.rand(width, len(head)) < 0.3
            generators = {n: torch.Generator().manual_seed(n) for n in range(width)}
            start = time.perf_counter()
            logits = apply_top_k_top_p((x @ head.T).masked_fill_(forbidden, -torch.inf), k, p)
            random_sample(logits.softmax(dim=-1), generators)
            times[name].append(time.perf_counter() - start)
        for name, own in times.items():
            found[name].append(statistics.median(own) * 1e3)
    return found


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A full-size checkpoint.")],
    steps: Annotated[int, typer.Option(help="Steps that are timed; the median counts.")] = 24,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 on CPUs that support it.")] = "float32",
    width: Annotated[list[int], typer.Option(help="Sequences at once.")] = list(VLLM_WIDTHS),  # noqa: B006
) -> None:
    """Print both sides' rates, and first, to stderr, the time of the head and the sampler in a step."""
    rows = {"audio rows": len(Grammar(Vocabulary(checkpoint / "LLM" / "tokenizer.json")).ids), "whole head": 166_000}
    print("head and sampler, ms:", head_and_sampler(rows, width, steps), file=sys.stderr, flush=True)
    found = {
        f"{precision}, whole head": by_itself(checkpoint, precision, width, steps),
        precision: backend_rates(checkpoint, "vllm", precision, width, steps),
    }
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    typer.run(main)
