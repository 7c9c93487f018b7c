"""Backends by name; what one of them needs is imported when it is chosen, and not before."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from engine.checkpoint import DEMO, cache_directory, fingerprint
from engine.compute import Compute, here
from engine.config import EngineConfig, Precision, Quantization
from engine.errors import EngineError
from engine.llm.base import LanguageModel, Stepper
from engine.llm.grammar import Grammar
from engine.observer import UNOBSERVED, Observer
from engine.types import Progress
from engine.vocabulary import Vocabulary


def load_language_model(
    checkpoint: Path,
    config: EngineConfig,
    vocabulary: Vocabulary,
    cores: Compute = here,
    progress: Progress = lambda done, total: None,
    observer: Observer = UNOBSERVED,
) -> LanguageModel:
    """Load `LLM/` of a checkpoint into the backend that the configuration names.

    `cores` says where a backend that computes on this machine's cores does so; `progress` counts what is
    converted for a backend that needs it. Raises CheckpointError, or EngineError if the backend cannot be had.
    """
    from engine.llm.choice import Host, LlamaCpp, Vllm, choose
    from engine.llm.scheduler import Scheduler

    grammar = Grammar(vocabulary)
    if config.backend == "remote":
        return _remote(checkpoint, grammar, config, vocabulary.ends)
    chosen = choose(config, Host.this(), demo=config.model == DEMO)
    if isinstance(chosen, Vllm):
        return _vllm(checkpoint, grammar, config, chosen.precision, observer)
    if isinstance(chosen, LlamaCpp):
        stepper = _llama(checkpoint, grammar, config, chosen.quantization, progress)
    else:
        stepper = _torch(checkpoint, grammar, config, chosen.precision)
    return Scheduler(stepper, grammar, cores if stepper.device.type == "cpu" else here, observer.step)


def prepare(checkpoint: Path, config: EngineConfig, progress: Progress) -> None:
    """Make the files that the chosen backend needs beside the checkpoint's own, if they are not there."""
    from engine.llm.choice import Host, LlamaCpp, choose

    if config.backend == "remote":
        return
    chosen = choose(config, Host.this(), demo=config.model == DEMO)
    if isinstance(chosen, LlamaCpp):
        convert(checkpoint, chosen.quantization, progress)


def convert(
    checkpoint: Path,
    quantization: Quantization,
    progress: Progress = lambda done, total: None,
    *,
    server: bool = False,
) -> Path:
    """The language model's file for llama.cpp, or for its own server, made if need be; raises CheckpointError."""
    from engine.llm.gguf_file import model_file

    ids = Grammar(Vocabulary(checkpoint / "LLM" / "tokenizer.json")).ids
    elsewhere = cache_directory() / "converted"
    return model_file(
        checkpoint / "LLM", fingerprint(checkpoint), ids, quantization, elsewhere, progress, server=server
    )


def _remote(checkpoint: Path, grammar: Grammar, config: EngineConfig, ends: tuple[int, ...]) -> LanguageModel:
    from engine.llm.qwen2 import Qwen2Config
    from engine.llm.remote.model import RemoteModel

    if config.remote is None:
        raise EngineError("`backend: remote` needs `engine.remote`, with `urls` and `kind`: see configs/remote.yaml.")
    longest = Qwen2Config.from_file(checkpoint / "LLM" / "config.json").max_position_embeddings
    context = min(config.max_context, longest)
    return RemoteModel(config.remote, grammar, ends, running=config.max_running, context=context)


def _torch(checkpoint: Path, grammar: Grammar, config: EngineConfig, precision: Precision | Literal["int8"]) -> Stepper:
    from engine.devices import resolve
    from engine.llm.torch_backend import TorchStepper

    device, dtype = resolve("cpu", "float32") if precision == "int8" else resolve(config.llm_device, precision)
    return TorchStepper(
        checkpoint / "LLM",
        grammar.ids,
        slots=config.max_running,
        context=config.max_context,
        device=device,
        dtype=dtype,
        int8=precision == "int8",
        fixed=device.type == "cuda",
    )


def _vllm(
    checkpoint: Path, grammar: Grammar, config: EngineConfig, precision: Precision, observer: Observer
) -> LanguageModel:
    from engine.devices import resolve
    from engine.llm.vllm_backend import VllmModel

    device, dtype = resolve(config.llm_device, precision)
    return VllmModel(
        checkpoint / "LLM",
        grammar,
        running=config.max_running,
        context=config.max_context,
        device=device,
        dtype=dtype,
        memory_share=config.gpu_memory_utilization,
        observer=observer,
    )


def _llama(
    checkpoint: Path, grammar: Grammar, config: EngineConfig, quantization: Quantization, progress: Progress
) -> Stepper:
    import torch

    from engine.llm.llama_backend import LIBRARY, LlamaStepper
    from engine.llm.llama_probe import repacking_is_safe
    from engine.llm.qwen2_loader import open_weights

    path = convert(checkpoint, quantization, progress)
    with open_weights(checkpoint / "LLM") as file:
        embedding, longest = file.embedding(), file.config.max_position_embeddings
    return LlamaStepper(
        path,
        quantization,
        embedding,
        len(grammar.ids),
        slots=config.max_running,
        context=min(config.max_context, longest),
        threads=torch.get_num_threads(),
        repack=repacking_is_safe(path, LIBRARY, cache_directory() / "probes"),
    )
