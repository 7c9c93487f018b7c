"""Backends by name. The library that a backend needs is imported only when that backend is chosen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from engine.checkpoints import DEMO, cache_directory, fingerprint, locate
from engine.config import EngineConfig, Hub, Precision, Quantization
from engine.errors import EngineError
from engine.llm.base import LanguageModel, ModelRunner
from engine.observer import UNOBSERVED, Observer
from engine.runtime.compute import Compute, run_inline
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import Progress, no_progress


def load_language_model(
    checkpoint: str | os.PathLike[str],
    config: EngineConfig,
    vocabulary: Vocabulary,
    cores: Compute = run_inline,
    progress: Progress = no_progress,
    observer: Observer = UNOBSERVED,
) -> LanguageModel:
    """Load `LLM/` of the checkpoint in the directory `checkpoint` into the backend that the configuration names.

    `cores` says where a backend that computes on the CPU runs. `progress` counts tensors if the backend needs the
    weights converted. Raises CheckpointError, or EngineError if the backend is not available.
    """
    from engine.llm.scheduler import Scheduler
    from engine.llm.selection import Host, LlamaCpp, Vllm, choose

    checkpoint, grammar = Path(checkpoint), Grammar(vocabulary)
    if config.backend == "remote":
        return _remote(checkpoint, grammar, config, vocabulary.ends)
    chosen = choose(config, Host.this(), demo=config.model == DEMO)
    if isinstance(chosen, Vllm):
        return _vllm(checkpoint, grammar, config, chosen.precision, observer)
    if isinstance(chosen, LlamaCpp):
        runner = _llama(checkpoint, grammar, config, chosen.quantization, progress)
    else:
        runner = _torch(checkpoint, grammar, config, chosen.precision)
    return Scheduler(runner, grammar, cores if runner.device.type == "cpu" else run_inline, observer.step)


def prepare(config: EngineConfig, progress: Progress) -> None:
    """Download the model and convert it for its backend, if that has not been done, so that `load` is quick.

    `progress` counts tensors while they are converted. Raises CheckpointError.
    """
    from engine.llm.selection import Host, LlamaCpp, choose

    checkpoint = locate(config.model, config.hub)
    if config.backend == "remote":
        return
    chosen = choose(config, Host.this(), demo=config.model == DEMO)
    if isinstance(chosen, LlamaCpp):
        _convert(checkpoint, chosen.quantization, progress)


def convert(
    model: str | os.PathLike[str],
    quantization: Quantization,
    progress: Progress = no_progress,
    *,
    hub: Hub = "huggingface",
    server: bool = False,
) -> Path:
    """Convert a language model for llama.cpp, unless that was done before; return the file.

    `model` is a checkpoint's directory, `demo`, or a name on `hub`, which is downloaded. `progress` counts tensors.
    With `server` the file is for llama.cpp's own server. Raises CheckpointError.
    """
    return _convert(locate(model, hub), quantization, progress, server=server)


def _convert(checkpoint: Path, quantization: Quantization, progress: Progress, *, server: bool = False) -> Path:
    from engine.llm.llama_cpp.gguf_file import model_file

    ids = Grammar(Vocabulary(checkpoint / "LLM" / "tokenizer.json")).ids
    elsewhere = cache_directory() / "converted"
    return model_file(
        checkpoint / "LLM", fingerprint(checkpoint), ids, quantization, elsewhere, progress, server=server
    )


def _remote(checkpoint: Path, grammar: Grammar, config: EngineConfig, ends: tuple[int, ...]) -> LanguageModel:
    from engine.llm.remote.model import RemoteModel
    from engine.llm.weights import Qwen2Config

    if config.remote is None:
        raise EngineError("`backend: remote` needs `engine.remote`, with `urls` and `kind`: see configs/remote.yaml.")
    longest = Qwen2Config.from_file(checkpoint / "LLM" / "config.json").max_position_embeddings
    context = min(config.max_context, longest)
    return RemoteModel(config.remote, grammar, ends, running=config.max_running, context=context)


def _torch(
    checkpoint: Path, grammar: Grammar, config: EngineConfig, precision: Precision | Literal["int8", "int4"]
) -> ModelRunner:
    from engine.llm.pytorch.runner import TorchModelRunner
    from engine.runtime.devices import resolve

    device, _ = resolve("cpu" if precision in ("int8", "int4") else config.llm_device, "auto")
    return TorchModelRunner(
        checkpoint / "LLM",
        grammar.ids,
        slots=config.max_running,
        context=config.max_context,
        device=device,
        precision=precision,
    )


def _vllm(
    checkpoint: Path, grammar: Grammar, config: EngineConfig, precision: Precision, observer: Observer
) -> LanguageModel:
    from engine.llm.vllm.model import VllmModel
    from engine.runtime.devices import resolve

    device, dtype = resolve(config.llm_device, precision)
    return VllmModel(
        checkpoint / "LLM",
        grammar,
        running=config.max_running,
        context=config.max_context,
        device=device,
        dtype=dtype,
        gpu_memory_utilization=config.gpu_memory_utilization,
        observer=observer,
    )


def _llama(
    checkpoint: Path, grammar: Grammar, config: EngineConfig, quantization: Quantization, progress: Progress
) -> ModelRunner:
    import torch

    from engine.llm.llama_cpp.probe import repacking_is_safe
    from engine.llm.llama_cpp.runner import LIBRARY, LlamaCppModelRunner
    from engine.llm.weights import open_weights

    path = _convert(checkpoint, quantization, progress)
    with open_weights(checkpoint / "LLM") as file:
        embedding, longest = file.embedding(), file.config.max_position_embeddings
    return LlamaCppModelRunner(
        path,
        quantization,
        embedding,
        len(grammar.ids),
        slots=config.max_running,
        context=min(config.max_context, longest),
        threads=torch.get_num_threads(),
        repack=repacking_is_safe(path, LIBRARY, cache_directory() / "probes"),
    )
