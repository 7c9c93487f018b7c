"""Prepares an uploaded sample for the codec: one channel, 16 kHz, normalised loudness."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr

from engine.errors import InvalidRequest
from engine.types import CODEC_SAMPLE_RATE, Recording, Sample, Samples
from engine.voices import quality, sandbox
from engine.voices.audio_decoder import MEDIA_TYPES, Decoded
from engine.voices.quality import Levels

SAMPLE_TYPES: Final = tuple(MEDIA_TYPES.values())
"""The media types that samples may have."""

_LOUDEST: Final = 1e6  # peak; allows float files on the scale of 16-bit integers, but no overflow
_SILENCE: Final = 1e-3  # peak, -60 dBFS; quieter 16-bit audio is mostly rounding noise
_SHORT: Final = 3.0  # seconds; the codec uses six, and repeats a shorter sample
_NARROW: Final = 16_000  # Hz; a lower rate lacks high frequencies that the codec uses
_DECODERS: Final = 2  # files that are decoded at once; each takes a core and memory


@dataclass(frozen=True, slots=True)
class Heard:
    """A decoded audio file: `samples` at 16 kHz, the sample to save, and warnings about its quality."""

    samples: Samples
    sample: Sample
    warnings: tuple[str, ...]


class SampleReader:
    """Decodes uploaded audio files within limits of time, length and memory."""

    def __init__(self, min_seconds: float = 1.0, max_seconds: float = 30.0) -> None:
        self._limits = min_seconds, max_seconds
        self._decoders = ThreadPoolExecutor(_DECODERS, "sample")

    async def read(self, data: bytes, param: str = "audio_sample") -> Heard:
        """Decode an audio file and prepare it for the codec; raises InvalidRequest on `param`."""
        # Own threads bound the work: a semaphore would be released when a client goes, while its file is still decoded.
        return await asyncio.get_running_loop().run_in_executor(self._decoders, self._read, data, param)

    def _read(self, data: bytes, param: str) -> Heard:
        return listen(data, sandbox.decode(data, self._limits[1], param), *self._limits, param)


def listen(data: bytes, decoded: Decoded, min_seconds: float, max_seconds: float, param: str) -> Heard:
    """Prepare decoded audio for the codec; raises InvalidRequest if it cannot be used."""

    def refuse(message: str) -> InvalidRequest:
        return InvalidRequest(message, param)

    seconds = len(decoded.samples) / decoded.rate
    if seconds < min_seconds or not seconds:
        raise refuse(
            f"The audio has {seconds:.2f} s that can be read. Send a complete file of at least {min_seconds:g} s."
        )
    samples: Samples = soxr.resample(decoded.samples, decoded.rate, CODEC_SAMPLE_RATE, quality="VHQ")
    peak = np.abs(samples).max()
    if not peak <= _LOUDEST:  # NaN too
        raise refuse("The audio contains values that are infinite or not numbers. Export it again.")
    if peak < _SILENCE:
        raise refuse("The audio is silent (its peak is below -60 dBFS). Send a recording of speech.")
    clipped = quality.clipped(decoded.samples)
    if clipped > quality.RUINED:
        raise refuse(f"The audio is too clipped ({clipped:.0%} of it). Record it again at a lower level.")
    warnings: list[str] = []
    if decoded.more:
        samples = _cut(samples, max_seconds, warnings)
    levels = Levels.of(samples)
    sounding = float(levels.sounding.sum()) * quality.FRAME_SECONDS
    if sounding < min_seconds / 2:
        raise refuse(f"The audio is mostly silence: only {sounding:.1f} s are audible. Send more speech.")
    samples = _without_silence(samples, levels, warnings)
    if clipped > quality.CLIPPED:
        warnings.append(
            f"{clipped:.1%} of the sample is clipped, so the voice will sound harsh. Record it at a lower level."
        )
    if levels.noisy:
        warnings.append("The sample has noise or music behind the voice. The cloned voice will have it too.")
    if levels.quiet:
        warnings.append("The sample is very quiet. Amplifying it amplifies its noise too.")
    if decoded.rate < _NARROW:
        warnings.append(f"The sample rate of {decoded.rate} Hz lacks high frequencies. Use 16000 Hz or more.")
    if sounding < _SHORT:
        warnings.append(f"The sample has {sounding:.1f} s of speech. The voice is more similar with 5 to 15 s.")
    sample = Sample(Recording(data, decoded.media_type), decoded.more)
    return Heard(normalise_volume(samples), sample, tuple(warnings))


def _cut(samples: Samples, max_seconds: float, warnings: list[str]) -> Samples:
    seconds = Levels.of(samples).last_pause()
    warnings.append(
        f"The sample is longer than {max_seconds:g} s. Only its first {seconds:.1f} s, up to a pause, are used."
    )
    return samples[: int(seconds * CODEC_SAMPLE_RATE)]


def _without_silence(samples: Samples, levels: Levels, warnings: list[str]) -> Samples:
    """The samples without long silence at both ends."""
    before, after = levels.ends()
    start, end = 0, len(samples)
    if before > quality.LONG_SILENCE:
        start = int((before - quality.KEPT_SILENCE) * CODEC_SAMPLE_RATE)
        warnings.append(f"{before:.1f} s of silence at the beginning of the sample were removed.")
    if after > quality.LONG_SILENCE:
        end -= int((after - quality.KEPT_SILENCE) * CODEC_SAMPLE_RATE)
        warnings.append(f"{after:.1f} s of silence at the end of the sample were removed.")
    return samples[start:end]


def normalise_volume(samples: Samples) -> Samples:
    """Scale the samples, shape (samples,), by 0.1 to 10, so that their louder parts reach about 0.2."""
    if not samples.size:
        return samples
    magnitudes = np.sort(np.abs(samples))
    if magnitudes[-1] < 0.1:
        samples = samples / max(magnitudes[-1], np.float32(1e-3)) * np.float32(0.1)
    audible = magnitudes[magnitudes > 0.01]  # of the original samples, not of the scaled ones
    if audible.size <= 10:
        return samples
    volume = audible[int(0.9 * audible.size) : int(0.99 * audible.size)].mean()
    samples = samples * np.clip(np.float32(0.2) / volume, np.float32(0.1), np.float32(10))
    normalised: Samples = samples / max(np.abs(samples).max(), np.float32(1))
    return normalised
