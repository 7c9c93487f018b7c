"""Which backend runs the language model, and in which precision, where the settings leave it open."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from typing import Literal

import torch

from engine.config import Backend, EngineConfig, Precision, Quantization
from engine.errors import EngineError

logger = logging.getLogger(__name__)

MANY = 8  # sequences at once; with more, bfloat16 in torch overtakes llama.cpp on a CPU with AMX
VLLM_INSTALL = "vLLM is not installed: `pip install 'fast-spark[vllm]'` does so, on a host with a CUDA GPU."
INSTALL = "llama-cpp-python is not installed: `make llama` builds it for this machine."


@dataclass(frozen=True, slots=True)
class Host:
    """What the choice depends on."""

    cuda: bool
    amx: bool
    """Whether the CPU multiplies bfloat16 matrices (Intel AMX)."""
    llama: bool
    """Whether llama-cpp-python is installed."""
    vllm: bool
    """Whether vLLM is installed."""

    @classmethod
    def this(cls) -> Host:
        """The machine that this runs on."""
        return cls(
            cuda=torch.cuda.is_available(),
            amx=bool(torch.cpu.get_capabilities().get("amx_bf16", False)),
            llama=importlib.util.find_spec("llama_cpp") is not None,
            vllm=importlib.util.find_spec("vllm") is not None,
        )


@dataclass(frozen=True, slots=True)
class Torch:
    """The language model runs in torch."""

    precision: Precision | Literal["int8"]


@dataclass(frozen=True, slots=True)
class Vllm:
    """The language model runs in vLLM."""

    precision: Precision


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """The language model runs in llama.cpp."""

    quantization: Quantization


def choose(config: EngineConfig, host: Host, *, demo: bool) -> Torch | LlamaCpp | Vllm:
    """The backend and how it holds the weights; raises EngineError if what is asked for cannot be had.

    `auto` means torch for the demo model, which needs nothing more, and vLLM on a GPU, or torch there too if vLLM
    is not installed. On a CPU it means llama.cpp: on two cores without AMX it was the faster one at every number
    of sequences. With AMX, torch in bfloat16 overtakes it between 4 and 8 of them, so it is chosen for
    `max_running` above 8. docs/benchmarks.md has the figures.
    """
    if config.llm_precision == "int8":
        if config.backend in ("auto", "torch") and not config.llm_device.startswith("cuda"):
            return Torch("int8")
        raise EngineError(
            "int8 is torch's on a CPU: choose `backend: torch` and `llm_device: cpu`, or another precision."
        )
    on_gpu = config.llm_device.startswith("cuda") or (config.llm_device == "auto" and host.cuda)
    backend = config.backend
    if backend == "auto":
        backend = _automatic(config, host, demo=demo, on_gpu=on_gpu)
    if backend == "llama-cpp":
        if not host.llama:
            raise EngineError(INSTALL)
        if config.llm_device.startswith("cuda"):
            raise EngineError("llama-cpp computes on the CPU here: for a GPU choose `backend: vllm` or `torch`.")
        return LlamaCpp("q8_0" if config.llm_precision == "auto" else config.llm_precision)
    if backend == "vllm" and not host.vllm:
        raise EngineError(VLLM_INSTALL)
    backend_class = Vllm if backend == "vllm" else Torch
    match config.llm_precision:
        case "float32" | "bfloat16" as precision:
            return backend_class(precision)
        case "auto":
            many = host.amx and config.max_running > MANY and not demo
            return backend_class("bfloat16" if on_gpu or many else "float32")
    raise EngineError(
        f"{backend} holds the language model in float32 or bfloat16, not in {config.llm_precision}, "
        "which is llama-cpp's."
    )


def _automatic(config: EngineConfig, host: Host, *, demo: bool, on_gpu: bool) -> Backend:
    """What `backend: auto` means."""
    if demo:
        return "torch"
    if on_gpu:
        return "vllm" if host.vllm else "torch"
    if host.amx and config.max_running > MANY:
        return "torch"
    if not host.llama:
        logger.warning("%s Until then torch runs the language model, several times slower.", INSTALL)
        return "torch"
    return "llama-cpp"
