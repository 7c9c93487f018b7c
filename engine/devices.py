"""Device and precision settings as torch has them."""

from __future__ import annotations

from typing import Literal

import torch

from engine.config import Precision
from engine.errors import EngineError


def resolve(device: str, precision: Literal["auto", Precision]) -> tuple[torch.device, torch.dtype]:
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
        precision = "bfloat16" if chosen.type == "cuda" else "float32"
    return chosen, torch.bfloat16 if precision == "bfloat16" else torch.float32
