"""Checkpoints: their location and layout, downloads, and synthetic checkpoints."""

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
    "cache_directory",
    "download",
    "downloaded",
    "fingerprint",
    "local_models",
    "locate",
    "missing_files",
    "verify",
]
