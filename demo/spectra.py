"""Spectra of the natural teachers, small enough to be carried to another machine: an hour takes 9 MB.

The logs of the amplitudes are kept as their cosine transform (a cepstrum), rounded. That is off by 1 to 2 dB at
single frequencies, which nobody hears.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_LZMA, ZipFile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from demo.natural import Reading

BINS = 500  # every 20 Hz
PERIODIC, NOISY = 80, 40  # coefficients
ROUNDED = 1.5  # the step of the coefficients
FLOOR = 1e-3  # of amplitudes; the loudest are about 10
VOICED = 40.0  # Hz: a step with a lower F0 has no voice


@cache
def cosines(coefficients: int) -> Tensor:
    """The cosine transform (coefficients, BINS); its rows are orthonormal."""
    order, place = torch.arange(coefficients, dtype=torch.double), torch.arange(BINS, dtype=torch.double)
    rows = torch.cos(torch.pi * order[:, None] * (place + 0.5) / BINS) * (2 / BINS) ** 0.5
    rows[0] /= 2**0.5
    found: Tensor = rows.float()
    return found


def cepstra(amplitudes: npt.NDArray[np.float32], coefficients: int) -> npt.NDArray[np.int8]:
    """Amplitudes (601, T) as rounded cepstra (T, coefficients)."""
    logs = torch.log(torch.from_numpy(amplitudes[:BINS].astype(np.float32)) + FLOOR)
    found: npt.NDArray[np.int8] = (
        (logs.T @ cosines(coefficients).T / ROUNDED).round().clamp(-127, 127).to(torch.int8).numpy()
    )
    return found


def amplitudes(rounded: Tensor) -> Tensor:
    """Rounded cepstra (..., T, coefficients) as amplitudes (..., T, BINS)."""
    logs = rounded.float() * ROUNDED @ cosines(rounded.shape[-1]).to(rounded.device)
    return (logs.exp() - FLOOR).clamp(min=0)


@dataclass(frozen=True, slots=True)
class Kept:
    """Sentences, one after the other: `steps` of 12.5 ms and `frames` of 20 ms each.

    By step: cepstra, (T, PERIODIC) and (T, NOISY), and whether there is a voice (T,). By frame: the tokens. By
    sentence: `begin`, the frame in what the teacher says that has the first token.
    """

    periodic: npt.NDArray[np.int8]
    noisy: npt.NDArray[np.int8]
    voiced: npt.NDArray[np.bool_]
    steps: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int16]
    frames: npt.NDArray[np.int64]
    begin: npt.NDArray[np.int64]

    @classmethod
    def of(cls, readings: list[Reading]) -> Kept:
        """Of sentences with their spectra."""
        spectra = [read.spectra for read in readings if read.spectra is not None]
        if not spectra or len(spectra) < len(readings):
            raise ValueError("The teacher gave no spectra.")
        return cls(
            periodic=np.concatenate([cepstra(one.periodic, PERIODIC) for one in spectra]),
            noisy=np.concatenate([cepstra(one.noisy, NOISY) for one in spectra]),
            voiced=np.concatenate([one.frequency > VOICED for one in spectra]),
            steps=np.array([len(one.frequency) for one in spectra]),
            tokens=np.concatenate([read.tokens for read in readings]).astype(np.int16),
            frames=np.array([len(read.tokens) for read in readings]),
            begin=np.array([read.begin for read in readings]),
        )

    @classmethod
    def joined(cls, parts: list[Kept]) -> Kept:
        """All sentences of several."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    @classmethod
    def load(cls, file: Path) -> Kept:
        """Read a file that `save` wrote."""
        with np.load(file) as content:
            values: dict[str, Any] = {field.name: content[field.name] for field in fields(cls)}
        # The coefficients' rows were kept as their differences from step to step, which are mostly small.
        for name in ("periodic", "noisy"):
            values[name] = np.cumsum(values[name].T, axis=0, dtype=np.int8)
        return cls(**values)

    def save(self, file: Path) -> None:
        """Write a compressed file, atomically."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("periodic", "noisy"):  # wrapping around, so that a sum gives them again
            values[name] = np.diff(values[name], axis=0, prepend=np.int8(0)).T
        partial = file.with_suffix(".partial.npz")
        with ZipFile(partial, "w", ZIP_LZMA) as archive:  # a third smaller than numpy's own
            for name, value in values.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, value)
        partial.replace(file)
