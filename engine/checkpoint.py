"""Where a checkpoint is: found, made, downloaded, and its layout verified before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import platformdirs

Hub = Literal["huggingface", "modelscope"]

DEMO = "demo"
"""The model that is served when none is named: small and synthetic, made at first use."""

LAYOUT = (
    "config.yaml",
    "LLM/config.json",
    "LLM/model.safetensors",
    "LLM/tokenizer.json",
    "BiCodec/config.yaml",
    "BiCodec/model.safetensors",
    "wav2vec2-large-xlsr-53/config.json",
    "wav2vec2-large-xlsr-53/preprocessor_config.json",
    "wav2vec2-large-xlsr-53/pytorch_model.bin",
)


def cache_directory() -> Path:
    """Where models are kept: the user's cache, `$XDG_CACHE_HOME/fast-spark` on Linux."""
    return Path(platformdirs.user_cache_path("fast-spark"))
