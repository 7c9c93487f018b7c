"""Chooses the backend of the language model and its precision where the settings say `auto`."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from typing import Literal, cast

import torch

from engine.config import Backend, EngineConfig, Precision, Quantization
from engine.errors import EngineError
from engine.tuning.tables import Tuning

logger = logging.getLogger(__name__)

VLLM_INSTALL = "vLLM is not installed. Install it with `pip install 'fast-spark[vllm]'`, on a host with a CUDA GPU."
LLAMA_INSTALL = "llama-cpp-python is not installed. Build it for this machine with `make llama`."


@dataclass(frozen=True, slots=True)
class Host:
    """The properties of a machine that the choice depends on."""

    cuda: bool
    llama: bool
    """Whether llama-cpp-python is installed."""
    vllm: bool
    """Whether vLLM is installed."""

    @classmethod
    def this(cls) -> Host:
        """The properties of this machine."""
        return cls(
            cuda=torch.cuda.is_available(),
            llama=importlib.util.find_spec("llama_cpp") is not None,
            vllm=importlib.util.find_spec("vllm") is not None,
        )


@dataclass(frozen=True, slots=True)
class Torch:
    """The language model runs in torch."""

    precision: Precision | Literal["int8", "int4"]

    def __str__(self) -> str:
        return f"torch {self.precision}"


@dataclass(frozen=True, slots=True)
class Vllm:
    """The language model runs in vLLM."""

    precision: Precision

    def __str__(self) -> str:
        return f"vllm {self.precision}"


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """The language model runs in llama.cpp."""

    quantization: Quantization

    def __str__(self) -> str:
        return f"llama-cpp {self.quantization}"


def choose(
    config: EngineConfig, host: Host, measured: Tuning | None = None, *, demo: bool = False
) -> Torch | LlamaCpp | Vllm:
    """The backend and the precision of its weights; raises EngineError if they are not available.

    `auto` means torch for the demo model. For other models it means vLLM on a GPU, or torch if vLLM is not installed.
    On a CPU it means what was fastest there by `measured`; without measurements llama.cpp with q8_0, or torch if
    llama.cpp is not installed.
    """
    precision = config.llm_precision
    if precision == "int8" or precision == "int4":
        if config.backend in ("auto", "torch") and not config.llm_device.startswith("cuda"):
            return Torch(precision)
        raise EngineError(
            f"{precision} needs torch on a CPU: choose `backend: torch` and `llm_device: cpu`, or another precision."
        )
    on_gpu = config.llm_device.startswith("cuda") or (config.llm_device == "auto" and host.cuda)
    if config.llm_precision == "auto" and not on_gpu and not demo and (best := _fastest(config, host, measured)):
        return best
    backend = config.backend
    if backend == "auto":
        backend = _automatic(config, host, demo=demo, on_gpu=on_gpu)
    if backend == "llama-cpp":
        if not host.llama:
            raise EngineError(LLAMA_INSTALL)
        if config.llm_device.startswith("cuda"):
            raise EngineError("llama-cpp runs on the CPU only here. For a GPU choose `backend: vllm` or `torch`.")
        return LlamaCpp("q8_0" if precision == "auto" else precision)
    if backend == "vllm" and not host.vllm:
        raise EngineError(VLLM_INSTALL)
    backend_class = Vllm if backend == "vllm" else Torch
    match config.llm_precision:
        case "float32" | "bfloat16" as precision:
            return backend_class(precision)
        case "auto":
            return backend_class("bfloat16" if on_gpu else "float32")
    raise EngineError(
        f"The {backend} backend supports `llm_precision` float32 and bfloat16. "
        f"For {config.llm_precision} choose `backend: llama-cpp`."
    )


def _fastest(config: EngineConfig, host: Host, measured: Tuning | None) -> Torch | LlamaCpp | None:
    """What was fastest, if the settings leave it open."""
    if measured is None or config.backend not in ("auto", "torch", "llama-cpp"):
        return None
    row = measured.best_language_model(None if config.backend == "auto" else config.backend)
    if row is None or (row.backend == "llama-cpp" and not host.llama):
        return None
    if row.backend == "llama-cpp":
        return LlamaCpp(cast("Quantization", row.precision))
    return Torch(cast("Precision | Literal['int8']", row.precision))


def _automatic(config: EngineConfig, host: Host, *, demo: bool, on_gpu: bool) -> Backend:
    """What `backend: auto` means without measurements."""
    if demo:
        return "torch"
    if on_gpu:
        return "vllm" if host.vllm else "torch"
    if not host.llama:
        logger.warning("%s Until then torch runs the language model, which is several times slower.", LLAMA_INSTALL)
        return "torch"
    return "llama-cpp"
