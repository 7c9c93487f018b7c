"""How fast the language model speaks in vLLM: as this project runs it, and as vLLM does by itself.

    python -m tests.bench.vllm CHECKPOINT

By itself it computes the head of the whole vocabulary, and `allowed_token_ids` forbids what is no speech. Prints JSON:
tokens per second of all sequences together, for each number of them. `tests.bench.llm --vllm PYTHON` runs it, with
the Python of an environment that has vLLM.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from engine.vocabulary import Vocabulary
from tests.bench.llm import CONTEXT, VLLM_WIDTHS, backend_rates, prompt_of


def by_itself(checkpoint: Path, precision: str, steps: int) -> list[float]:
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
                max_num_seqs=max(VLLM_WIDTHS),
                skip_tokenizer_init=True,
                generation_config="vllm",
                enable_prefix_caching=False,
                enforce_eager=True,  # as the other side on a CPU
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
        for width in VLLM_WIDTHS:
            stamps = await asyncio.gather(*map(listen, range(width)))
            latest = max(stamps, key=lambda own: own[0])[: steps + 1]  # since it joined, all have generated
            found.append(width / statistics.median(b - a for a, b in pairwise(latest)))
        llm.shutdown()
        return found

    return asyncio.run(rates())


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A full-size checkpoint.")],
    steps: Annotated[int, typer.Option(help="Steps that are timed; the median counts.")] = 24,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 on CPUs that multiply it.")] = "float32",
) -> None:
    """Print both sides' rates."""
    found = {
        f"{precision}, whole head": by_itself(checkpoint, precision, steps),
        precision: backend_rates(checkpoint, "vllm", precision, VLLM_WIDTHS, steps),
    }
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    typer.run(main)
