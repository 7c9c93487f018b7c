"""Device and precision settings as torch has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from engine.config import Precision
from engine.errors import EngineError


def resolve(
    device: str, precision: Literal["auto", Precision], auto_on_cpu: Precision = "float32"
) -> tuple[torch.device, torch.dtype]:
    """What `auto` means on this machine; raises EngineError if the device is not there.

    float16 is no choice: Spark-TTS's language model overflows in it.
    """
    cuda = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if cuda else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"The device {device} is not there: torch {torch.__version__} sees {torch.cuda.device_count()}."
        )
    if precision == "auto":
        precision = "bfloat16" if chosen.type == "cuda" else auto_on_cpu
    return chosen, torch.bfloat16 if precision == "bfloat16" else torch.float32


def resolve_for_codec(device: str, precision: Literal["auto", Precision]) -> tuple[torch.device, torch.dtype]:
    """Do `resolve` for the codec, whose `auto` on a CPU depends on what the CPU can do."""
    return resolve(device, precision, codec_precision_on(torch.cpu.get_capabilities()))


def codec_precision_on(cpu: Mapping[str, Any]) -> Precision:
    """The decoder's precision on a CPU with these capabilities, named as `torch.cpu.get_capabilities` names them.

    bfloat16 where the CPU has matrix units for it: a Sapphire Rapids decoded three times as fast as in float32.
    A CPU that merely has instructions for dot products in it (avx512_bf16) has not been measured; without those,
    it is emulated and slow. In bfloat16 the samples depend on what else is in the batch, at 37 dB: below what is
    heard, but no longer the same for the same seed whatever the load.
    """
    return "bfloat16" if cpu.get("amx_bf16") else "float32"
