"""What was measured on a host, and what follows from it: pure data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from engine.config import Backend, Precision, Quantization

LEAST_CODEC_SNR = 35.0  # dB, of the decoder's samples against those in float32
MOST_DIVERGENCE = 0.005  # nats, of the language model's distributions from those in float32


class CodecRow(BaseModel):
    """One form of the codec's decoder.

    `seconds` has the seconds for a second of audio by the number of frames in a window. `snr` is in dB, against
    float32; None for float32 itself. See `CodecForm` for `plain`.
    """

    model_config = ConfigDict(frozen=True)

    precision: Precision
    fused: bool
    plain: tuple[str, ...]
    seconds: Mapping[int, float]
    snr: float | None = None

    @property
    def cost(self) -> float:
        """The geometric mean of the seconds: short windows count as much as long ones."""
        return _mean(list(self.seconds.values()))

    @property
    def good(self) -> bool:
        """Whether its samples are close enough to those in float32."""
        return self.snr is None or self.snr >= LEAST_CODEC_SNR


class LanguageModelRow(BaseModel):
    """One backend and precision of the language model.

    `rates` has the tokens per second of all sequences, by their number. `divergence` is in nats, the mean of the
    Kullback-Leibler divergence of the next token's distribution from that in float32.
    """

    model_config = ConfigDict(frozen=True)

    backend: Literal["torch", "llama-cpp"]
    precision: Quantization | Literal["int8"]
    rates: Mapping[int, float]
    divergence: float

    @property
    def rate(self) -> float:
        """The geometric mean of the rates: every number of sequences counts as much as the double."""
        return _mean(list(self.rates.values()))

    @property
    def good(self) -> bool:
        """Whether its distributions are close enough to those in float32."""
        return self.divergence <= MOST_DIVERGENCE


class Tuning(BaseModel):
    """Everything that was measured for one checkpoint on one host."""

    model_config = ConfigDict(frozen=True)

    host: str
    threads: int
    date: str
    versions: Mapping[str, str]
    codec: tuple[CodecRow, ...] = ()
    language_model: tuple[LanguageModelRow, ...] = ()

    def best_codec(self, precision: Precision | None = None) -> CodecRow | None:
        """The fastest form of the codec that is good enough, or the fastest in `precision`."""
        rows = [row for row in self.codec if (row.good if precision is None else row.precision == precision)]
        return min(rows, key=lambda row: row.cost, default=None)

    def best_language_model(self, backend: Backend | None = None) -> LanguageModelRow | None:
        """The fastest way to run the language model that is good enough, in `backend` if it is given."""
        rows = [row for row in self.language_model if row.good and backend in (None, row.backend)]
        return max(rows, key=lambda row: row.rate, default=None)


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
