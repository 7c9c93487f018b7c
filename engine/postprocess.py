"""The codec's samples, chunk by chunk, become samples of the asked tempo and rate, without clicks."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, cast

import numpy as np
import soxr
from av import AudioFrame
from av.error import BlockingIOError as NoFrameYet
from av.error import EOFError as NoFrameMore
from av.filter import Graph

from engine.errors import InvalidRequest
from engine.types import CODEC_SAMPLE_RATE, Samples

MIN_SPEED: Final = 0.25
MAX_SPEED: Final = 4.0

_FRAME: Final = 320  # samples given to the filter at a time
_TAIL: Final = 8192  # samples of silence that push the last speech out; the filter holds back up to 5006, at 3
_NONE: Final = np.zeros(0, np.float32)

FADE: Final = 80  # samples, 5 ms: too short to be heard, long enough that a step is not
_RISE: Final = (0.5 - 0.5 * np.cos(np.pi * (np.arange(FADE) + 0.5) / FADE)).astype(np.float32)  # raised cosine


def fade(samples: Samples, *, start: bool, end: bool) -> Samples:
    """A part of a sentence at 16 kHz, shape (n,) with n >= FADE, faded in if it starts it and out if it ends it.

    A sentence need not begin or end at zero, least of all one that a bound cuts off: the step would click.
    """
    faded = samples.copy()
    if start:
        faded[:FADE] *= _RISE
    if end:
        faded[-FADE:] *= _RISE[::-1]
    return faded


def crossfade(one: Samples, other: Samples) -> Samples:
    """The samples of `one`, shape (n,), faded into the first n samples of `other`, which may have more."""
    rise = np.linspace(0, 1, len(one), dtype=np.float32)
    faded = other.copy()
    faded[: len(one)] = one * (1 - rise) + other[: len(one)] * rise
    return faded


class PostProcessor:
    """Tempo, then rate, of one answer; what comes out does not depend on how the input was cut.

    `speed` changes the tempo and leaves the pitch. n samples in become exactly round(n / speed) at 16 kHz,
    and `sample_rate` / 16000 times as many in the end, rounded. After `flush` the object is spent.
    Not for two threads at once: see `engine.runtime.native`.
    """

    def __init__(self, speed: float, sample_rate: int) -> None:
        self._tempo = None if speed == 1 else _Tempo(speed)
        self._resampler = None
        if sample_rate != CODEC_SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(CODEC_SAMPLE_RATE, sample_rate, 1, quality="HQ")

    def push(self, samples: Samples) -> Samples:
        """Take the next samples, shape (n,) with any n, and return those that are ready, maybe none."""
        if self._tempo is not None:
            samples = self._tempo.push(samples)
        return self._resample(samples)

    def flush(self) -> Samples:
        """Return all that is left."""
        samples = _NONE if self._tempo is None else self._tempo.flush()
        return self._resample(samples, last=True)

    def close(self) -> None:
        """Free the filter and the resampler; also if `flush` was never reached."""
        self._tempo = self._resampler = None

    def _resample(self, samples: Samples, *, last: bool = False) -> Samples:
        if self._resampler is None:
            return samples
        return cast(Samples, self._resampler.resample_chunk(samples, last))


class _Tempo:
    """FFmpeg's atempo, with the lengths that its own end of stream does not give."""

    def __init__(self, speed: float) -> None:
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise InvalidRequest(f"The speed must be {MIN_SPEED:g} to {MAX_SPEED:g}, not {speed:g}.", "speed")
        self._speed = speed
        self._pending = _NONE  # fewer than _FRAME samples
        self._taken = 0
        self._fed = 0
        self._given = 0
        # One instance goes no lower than 0.5, and above 2 it skips speech instead of blending it.
        instances = 1 if 0.5 <= speed <= 2 else 2
        self._graph = Graph()
        self._source = self._graph.add_abuffer(
            sample_rate=CODEC_SAMPLE_RATE,
            format="flt",
            layout="mono",
            time_base=Fraction(1, CODEC_SAMPLE_RATE),
        )
        self._sink = self._graph.add("abuffersink")
        factor = repr(speed ** (1 / instances))
        tempos = [self._graph.add("atempo", factor) for _ in range(instances)]
        self._graph.link_nodes(self._source, *tempos, self._sink).configure()

    def push(self, samples: Samples) -> Samples:
        self._taken += samples.size
        return self._feed(samples)

    def flush(self) -> Samples:
        """Return the rest, so that round(samples taken / speed) have been given in all.

        Left to itself atempo drops some of the last speech, and all of an input shorter than its window:
        silence after the end pushes that out, and what then is too much is cut off.
        """
        missing = round(self._taken / self._speed) - self._given
        return self._feed(np.zeros(_TAIL, np.float32))[:missing]

    def _feed(self, samples: Samples) -> Samples:
        """Give the filter equal frames however the input is cut: it may keep a frame back until the next comes."""
        samples = np.concatenate((self._pending, samples), dtype=np.float32)
        whole = samples.size - samples.size % _FRAME
        self._pending = samples[whole:]
        ready = [self._filter(samples[start : start + _FRAME]) for start in range(0, whole, _FRAME)]
        output = np.concatenate(ready) if ready else _NONE
        self._given += output.size
        return output

    def _filter(self, samples: Samples) -> Samples:
        frame = AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = CODEC_SAMPLE_RATE
        frame.time_base = Fraction(1, CODEC_SAMPLE_RATE)
        frame.pts = self._fed
        self._fed += samples.size
        self._source.push(frame)
        ready: list[Samples] = []
        while True:
            try:
                output = cast(AudioFrame, self._sink.pull())
            except (NoFrameYet, NoFrameMore):
                return np.concatenate(ready) if ready else _NONE
            ready.append(cast(Samples, output.to_ndarray()).reshape(-1))
