"""The settings for device and precision, resolved to those of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from engine.config import Precision
from engine.errors import EngineError


def resolve(
    device: str, precision: Literal["auto", Precision], auto_on_cpu: Precision = "float32"
) -> tuple[torch.device, torch.dtype]:
    """The device and the precision, with `auto` resolved for this machine.

    There is no float16: Spark-TTS's language model overflows in it. Raises EngineError if the device does not exist.
    """
    cuda = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if cuda else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"There is no device {device}: torch {torch.__version__} finds {torch.cuda.device_count()} CUDA devices."
        )
    if precision == "auto":
        precision = "bfloat16" if chosen.type == "cuda" else auto_on_cpu
    return chosen, torch.bfloat16 if precision == "bfloat16" else torch.float32


def resolve_for_codec(device: str, precision: Literal["auto", Precision]) -> tuple[torch.device, torch.dtype]:
    """`resolve` for the codec: on a CPU, `auto` depends on what the CPU supports."""
    return resolve(device, precision, codec_precision_on(torch.cpu.get_capabilities()))


def codec_precision_on(cpu: Mapping[str, Any]) -> Precision:
    """The decoder's precision on a CPU with these capabilities, as `torch.cpu.get_capabilities` returns them.

    bfloat16 if the CPU has matrix units for it: a Sapphire Rapids decoded three times as fast as in float32. CPUs
    with dot products in bfloat16 only (avx512_bf16) have not been measured; others emulate it, which is slow.
    In bfloat16 the samples depend on the rest of the batch, at 37 dB. That is inaudible, but the same seed no longer
    gives the same samples under any load.
    """
    return "bfloat16" if cpu.get("amx_bf16") else "float32"
