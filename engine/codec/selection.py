"""Chooses how the codec's decoder is computed where the settings say `auto`."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.checkpoints import cache_directory
from engine.codec import kernels
from engine.codec.form import CodecForm
from engine.config import EngineConfig, Precision
from engine.runtime.devices import resolve
from engine.tuning.tables import Tuning


def kernel_directories() -> list[Path]:
    """Where compiled activations are looked for; the last one is where they are made."""
    return [kernels.INSTALLED, cache_directory() / "kernels"]


def choose_form(config: EngineConfig, measured: Tuning | None) -> tuple[torch.device, CodecForm]:
    """The codec's device, and the form in which it decodes there.

    On a CPU, `codec_precision: auto` means what was fastest by `measured`, and float32 without measurements. Raises
    EngineError if the device does not exist.
    """
    device, dtype = resolve(config.codec_device, config.codec_precision)
    if device.type != "cpu":
        return device, CodecForm(dtype, fused=kernels.compiled_for_cuda(dtype, device))
    asked = None if config.codec_precision == "auto" else config.codec_precision
    row = None if measured is None else measured.best_codec(asked)
    if row is None:
        precision: Precision = "bfloat16" if dtype == torch.bfloat16 else "float32"
        return device, CodecForm(dtype, fused=kernels.load(precision, kernel_directories()))
    fused = kernels.load(row.precision, kernel_directories()) if row.fused else None
    return device, CodecForm(getattr(torch, row.precision), frozenset(row.plain), fused)
