"""The small codec, the golden numbers, and checkpoints to be damaged."""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.codec import BiCodec

Arrays = dict[str, npt.NDArray[np.generic]]


def signal_to_noise(signal: npt.NDArray[np.generic], found: npt.NDArray[np.generic]) -> float:
    """In dB."""
    return float(10 * np.log10(np.mean(signal**2) / np.mean((signal - found) ** 2)))


@pytest.fixture(scope="session")
def codec(small_checkpoint: Path) -> BiCodec:
    return BiCodec.from_checkpoint(small_checkpoint)


@pytest.fixture(scope="session")
def small_numbers(golden: Path) -> Arrays:
    with np.load(golden / "small.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def full_numbers(golden: Path) -> Arrays:
    with np.load(golden / "full.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def own_checkpoint(small_checkpoint: Path, tmp_path: Path) -> Path:
    """The codec's part of the small checkpoint, for a test to change as it likes."""
    for part in ("BiCodec", "wav2vec2-large-xlsr-53"):
        shutil.copytree(small_checkpoint / part, tmp_path / part)
    return tmp_path
