"""Backends by name. The library that a backend needs is imported only when that backend is chosen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.checkpoints import (
    DEMO,
    Checkpoint,
    LanguageModelFiles,
    cache_directory,
    locate,
    locate_checkpoint,
    own_language_model,
)
from engine.config import EngineConfig, Hub, Precision, Quantization
from engine.errors import EngineError
from engine.llm.base import LanguageModel, ModelRunner
from engine.observer import UNOBSERVED, Observer
from engine.runtime.compute import Compute, run_inline
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import Progress, no_progress

if TYPE_CHECKING:
    from engine.llm.selection import LlamaCpp, Torch


def load_language_model(
    checkpoint: Checkpoint | Path,
    config: EngineConfig,
    vocabulary: Vocabulary,
    cores: Compute = run_inline,
    progress: Progress = no_progress,
    observer: Observer = UNOBSERVED,
) -> LanguageModel:
    """Load a checkpoint's language model into the backend that the configuration names.

    A directory is a checkpoint with its own language model. `cores` says where a backend that computes on the CPU
    runs. `progress` counts tensors if the backend needs the weights converted. Raises CheckpointError, or EngineError
    if the backend is not available.
    """
    from engine.llm.scheduler import Scheduler
    from engine.llm.selection import Host, Vllm, choose
    from engine.tuning.store import recall

    if isinstance(checkpoint, Path):
        checkpoint = Checkpoint(checkpoint, own_language_model(checkpoint))
    files, grammar = checkpoint.language_model, Grammar(vocabulary)
    if config.backend == "remote":
        observer.backend("remote")
        return _remote(files, grammar, config, vocabulary.ends)
    if files.is_gguf:
        observer.backend("llama-cpp")
        return Scheduler(_ready_gguf(files, grammar, config), grammar, cores, observer.step)
    chosen = choose(config, Host.this(), recall(checkpoint, config), demo=_is_demo(config))
    observer.backend(str(chosen))
    if isinstance(chosen, Vllm):
        return _vllm(checkpoint, grammar, config, chosen.precision, observer)
    runner = load_runner(checkpoint, grammar, config, chosen, progress)
    return Scheduler(runner, grammar, cores if runner.device.type == "cpu" else run_inline, observer.step)


def load_runner(
    checkpoint: Checkpoint,
    grammar: Grammar,
    config: EngineConfig,
    chosen: Torch | LlamaCpp,
    progress: Progress = no_progress,
) -> ModelRunner:
    """Load a checkpoint's language model into the chosen backend of this process; raises as `load_language_model`."""
    from engine.llm.selection import LlamaCpp

    if isinstance(chosen, LlamaCpp):
        return _llama(checkpoint, grammar, config, chosen.quantization, progress)
    return _torch(checkpoint.language_model, grammar, config, chosen.precision)


def prepare(config: EngineConfig, progress: Progress) -> None:
    """Download the model and convert it for its backend, if that has not been done, so that `load` is quick.

    `progress` counts tensors while they are converted. Raises CheckpointError.
    """
    from engine.llm.selection import Host, LlamaCpp, choose
    from engine.tuning.store import recall

    checkpoint = locate_checkpoint(config)
    if config.backend == "remote" or checkpoint.language_model.is_gguf:
        return
    chosen = choose(config, Host.this(), recall(checkpoint, config), demo=_is_demo(config))
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
    directory = locate(model, hub)
    return _convert(Checkpoint(directory, own_language_model(directory)), quantization, progress, server=server)


def _is_demo(config: EngineConfig) -> bool:
    return config.model == DEMO and config.language_model is None


def _convert(checkpoint: Checkpoint, quantization: Quantization, progress: Progress, *, server: bool = False) -> Path:
    from engine.llm.llama_cpp.gguf_file import model_file

    files = checkpoint.language_model
    return model_file(
        files.path,
        checkpoint.fingerprint,
        Grammar(Vocabulary(files.tokenizer)).ids,
        quantization,
        cache_directory() / "converted",
        progress,
        adapter=files.adapter,
        tokenizer=files.tokenizer,
        server=server,
    )


def _remote(files: LanguageModelFiles, grammar: Grammar, config: EngineConfig, ends: tuple[int, ...]) -> LanguageModel:
    from engine.llm.remote.model import RemoteModel
    from engine.llm.weights import Qwen2Config

    if config.remote is None:
        raise EngineError("`backend: remote` needs `engine.remote`, with `urls` and `kind`: see configs/remote.yaml.")
    if files.is_gguf:
        raise EngineError("`backend: remote` needs the model's directory, not its GGUF file.")
    longest = Qwen2Config.from_file(files.path / "config.json").max_position_embeddings
    context = min(config.max_context, longest)
    return RemoteModel(config.remote, grammar, ends, running=config.max_running, context=context)


def _torch(
    files: LanguageModelFiles, grammar: Grammar, config: EngineConfig, precision: Precision | Literal["int8", "int4"]
) -> ModelRunner:
    from engine.llm.pytorch.runner import TorchModelRunner
    from engine.runtime.devices import resolve

    device, _ = resolve("cpu" if precision in ("int8", "int4") else config.llm_device, "auto")
    return TorchModelRunner(
        files.path,
        grammar.ids,
        adapter=files.adapter,
        slots=config.max_running,
        context=config.max_context,
        device=device,
        precision=precision,
    )


def _vllm(
    checkpoint: Checkpoint, grammar: Grammar, config: EngineConfig, precision: Precision, observer: Observer
) -> LanguageModel:
    from engine.llm.merged_copy import directory_for_vllm
    from engine.llm.vllm.model import VllmModel
    from engine.runtime.devices import resolve

    device, dtype = resolve(config.llm_device, precision)
    return VllmModel(
        directory_for_vllm(checkpoint, cache_directory() / "converted"),
        grammar,
        running=config.max_running,
        context=config.max_context,
        device=device,
        dtype=dtype,
        gpu_memory_utilization=config.gpu_memory_utilization,
        can_sleep=config.unload_after_seconds is not None,
        observer=observer,
    )


def _llama(
    checkpoint: Checkpoint, grammar: Grammar, config: EngineConfig, quantization: Quantization, progress: Progress
) -> ModelRunner:
    import torch

    from engine.llm.llama_cpp.probe import repacking_is_safe
    from engine.llm.llama_cpp.runner import LIBRARY, LlamaCppModelRunner
    from engine.llm.weights import open_weights

    path = _convert(checkpoint, quantization, progress)
    with open_weights(checkpoint.language_model.path, checkpoint.language_model.adapter) as file:
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


def _ready_gguf(files: LanguageModelFiles, grammar: Grammar, config: EngineConfig) -> ModelRunner:
    """Load a ready-made GGUF file; raises EngineError if the settings ask for what it cannot be."""
    import torch

    from engine.llm.llama_cpp.probe import repacking_is_safe
    from engine.llm.llama_cpp.ready_file import prepare_ready_file
    from engine.llm.llama_cpp.runner import LIBRARY, LlamaCppModelRunner
    from engine.llm.selection import LLAMA_INSTALL, Host

    if config.backend not in ("auto", "llama-cpp") or config.llm_device.startswith("cuda"):
        raise EngineError("A GGUF file needs `backend: llama-cpp`, on the CPU.")
    if config.llm_precision != "auto":
        raise EngineError("A GGUF file has its own precision: leave `llm_precision: auto`.")
    if not Host.this().llama:
        raise EngineError(LLAMA_INSTALL)
    model = prepare_ready_file(files.path, grammar.ids)
    return LlamaCppModelRunner(
        model.path,
        model.quantization,
        model.embedding,
        len(grammar.ids),
        slots=config.max_running,
        context=min(config.max_context, model.max_context),
        threads=torch.get_num_threads(),
        repack=repacking_is_safe(model.path, LIBRARY, cache_directory() / "probes"),
    )
