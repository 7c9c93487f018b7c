"""Checkpoints that the tests share: made once, kept in the user's cache, since they are the same bits each time."""

import os
from pathlib import Path

import pytest

from engine.checkpoint import cache_directory
from engine.config import Size
from engine.synthetic import write_checkpoint

GOLDEN = Path(__file__).parent / "golden"


def synthetic_checkpoint(size: Size) -> Path:
    directory = cache_directory() / f"synthetic-{size}"
    if not directory.exists():
        write_checkpoint(directory, size)
    return directory


@pytest.fixture(scope="session")
def small_checkpoint() -> Path:
    return synthetic_checkpoint("small")


@pytest.fixture(scope="session")
def full_checkpoint() -> Path:
    return synthetic_checkpoint("full")


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN
