"""Checkpoints: their location and layout, downloads, and synthetic checkpoints."""

from engine.checkpoints.language_model import (
    Checkpoint,
    LanguageModelFiles,
    is_language_model,
    locate_checkpoint,
    own_language_model,
    prompt_form,
)
from engine.checkpoints.languages import SPARK_TTS_LANGUAGES, spelling, spoken_languages, uses_transcripts
from engine.checkpoints.layout import (
    DEMO,
    cache_directory,
    download,
    downloaded,
    fingerprint,
    local_models,
    locate,
    missing_files,
    verify,
)

__all__ = [
    "DEMO",
    "SPARK_TTS_LANGUAGES",
    "Checkpoint",
    "LanguageModelFiles",
    "cache_directory",
    "download",
    "downloaded",
    "fingerprint",
    "is_language_model",
    "local_models",
    "locate",
    "locate_checkpoint",
    "missing_files",
    "own_language_model",
    "prompt_form",
    "spelling",
    "spoken_languages",
    "uses_transcripts",
    "verify",
]
