"""The settings for device and precision, resolved to those of torch."""

from __future__ import annotations

from typing import Literal

import torch

from engine.config import Precision
from engine.errors import EngineError


def resolve(device: str, precision: Literal["auto", Precision]) -> tuple[torch.device, torch.dtype]:
    """The device and the precision; `auto` is bfloat16 on CUDA, else float32.

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
        precision = "bfloat16" if chosen.type == "cuda" else "float32"
    return chosen, torch.bfloat16 if precision == "bfloat16" else torch.float32
