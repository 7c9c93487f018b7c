"""Checkpoints: where they are, what they hold, how they are downloaded, and synthetic ones."""

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
