"""`backend: vllm`: the language model runs in vLLM's engine, a process of its own that batches and samples.

This project replaces two parts of it: the model's head, which has the audio rows only (`architecture`), and the
logits processor, which applies the grammar (`logits_processor`). vLLM's ids are rows of that model's embedding.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import BackendFailed, EngineClosed, EngineError
from engine.llm.base import max_answer_tokens
from engine.llm.vllm.plugin import embedding_permutation
from engine.llm.weights import open_weights
from engine.observer import Observer
from engine.tokens.grammar import Grammar
from engine.types import Prompt, Sampling

if TYPE_CHECKING:
    import torch
    from vllm import SamplingParams

DEATH = "vLLM's engine has died; its log has the reason."


class VllmModel:
    """A LanguageModel over vLLM's AsyncLLM."""

    def __init__(
        self,
        directory: Path,
        grammar: Grammar,
        *,
        running: int,
        context: int,
        device: torch.device,
        dtype: torch.dtype,
        gpu_memory_utilization: float,
        can_sleep: bool,
        observer: Observer,
    ) -> None:
        """Start the engine with `LLM/` of a checkpoint; blocks until it is loaded.

        At most `running` sequences share a step. `gpu_memory_utilization` is the share of the GPU's memory for the
        engine, including the weights. `can_sleep` starts it in vLLM's sleep mode, if it is on a GPU. Raises
        CheckpointError, or EngineError if vLLM cannot start.
        """
        with open_weights(directory) as file:
            model, separate_head = file.config, file.separate_head
        self.context = min(context, model.max_position_embeddings)
        self._observer = observer
        self._watcher: asyncio.Task[None] | None = None
        self._closed = False
        self._can_sleep = can_sleep and device.type == "cuda"
        self._numbers = count()
        self._running: set[str] = set()
        arguments = {
            "model": str(directory.resolve()),
            "max_model_len": self.context,
            "max_num_seqs": running,
            "device_ids": None if device.index is None else [device.index],
            "dtype": str(dtype).removeprefix("torch."),
            "gpu_memory_utilization": gpu_memory_utilization,
            "hf_overrides": {
                "vocab_size": len(grammar.ids),
                "embedding_rows": model.vocab_size,
                "separate_head": separate_head,
            },
            "enforce_eager": device.type == "cpu",
            "enable_sleep_mode": self._can_sleep,
        }
        try:
            from engine.llm.vllm.engine import start

            self._llm = start(arguments, device.type, observer.step)
        except Exception as error:
            raise EngineError(
                f"vLLM could not be started: {error}. Its log has more; `backend: torch` works without vLLM."
            ) from error
        self._ids = grammar.ids
        self._rows = np.argsort(embedding_permutation(grammar.ids, model.vocab_size))  # the row of each id
        self._ends = {int(self._rows[token]) for token in grammar.ends}

    @property
    def failure(self) -> str | None:
        """See LanguageModel.failure."""
        return DEATH if self._llm.errored and not self._closed else None

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """See LanguageModel.generate."""
        from vllm.inputs import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        max_tokens = max_answer_tokens(prompt, sampling, self.context)
        if self._closed:
            raise EngineClosed
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        number = str(next(self._numbers))
        outputs = self._llm.generate(
            tokens_input(self._rows[list(prompt.ids)].tolist()),
            self._parameters(prompt, sampling, max_tokens),
            number,
            priority=int(due * 1000),
        )
        self._running.add(number)
        try:
            async with aclosing(outputs):
                async for output in outputs:
                    [answer] = output.outputs
                    if ids := [int(self._ids[row]) for row in answer.token_ids if row not in self._ends]:
                        yield ids
                    if answer.finish_reason == "abort":
                        raise EngineClosed
        except EngineDeadError as error:
            if self._closed:
                raise EngineClosed from error
            raise BackendFailed(f"The language model failed: {DEATH}") from error
        except EngineError:
            raise
        except Exception as error:
            raise BackendFailed(f"The language model failed: {error}") from error
        finally:
            self._running.discard(number)

    async def sleep(self) -> bool:
        """See OwnSleep.sleep. vLLM moves the weights to the host's memory and drops the KV cache."""
        if self._can_sleep:
            await self._llm.sleep()
        return self._can_sleep

    async def wake(self) -> None:
        """See OwnSleep.wake."""
        await self._llm.wake_up()

    async def close(self) -> None:
        """See LanguageModel.close."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.cancel()
        await self._llm.abort(list(self._running))  # their callers get EngineClosed
        await asyncio.to_thread(self._llm.shutdown)

    async def _watch(self) -> None:
        """Check once a second whether the engine's process is still alive."""
        while True:
            await asyncio.sleep(1)
            if self._llm.errored:
                self._observer.death(DEATH)
                return

    def _parameters(self, prompt: Prompt, sampling: Sampling, max_tokens: int) -> SamplingParams:
        """The sampling parameters as vLLM's.

        The logits processor applies the repetition penalty: vLLM's own penalty counts the prompt's ids too, which
        are not rows of the head.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=0 if sampling.greedy else sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            seed=None if sampling.seed is None else sampling.seed % 2**63,  # vLLM's seeds are signed
            max_tokens=max_tokens,
            stop_token_ids=sorted(self._ends),
            ignore_eos=True,  # the checkpoint's id of it is a different row here
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            extra_args={"answer": prompt.answer.name, "repetition_penalty": sampling.repetition_penalty},
        )
