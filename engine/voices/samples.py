"""A voice sample as it was uploaded becomes what the codec hears: one channel, 16 kHz, an even loudness."""

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

_LOUDEST: Final = 1e6  # peak; float files on a 16-bit integer's scale pass, what would overflow does not
_SILENCE: Final = 1e-3  # peak, -60 dBFS: below it 16-bit audio is little more than its own rounding
_SHORT: Final = 3.0  # seconds; the codec listens to six, and repeats what is shorter
_NARROW: Final = 16_000  # Hz; a lower rate lacks what the codec could hear
_DECODERS: Final = 2  # files that are decoded at once; each takes a core, and memory


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard of an audio file: `samples` at 16 kHz, and what is wrong with it but can be borne."""

    samples: Samples
    sample: Sample
    warnings: tuple[str, ...]


class SampleReader:
    """Reads what users upload, within limits of time, length and memory."""

    def __init__(self, min_seconds: float = 1.0, max_seconds: float = 30.0) -> None:
        self._limits = min_seconds, max_seconds
        self._decoders = ThreadPoolExecutor(_DECODERS, "sample")

    async def read(self, data: bytes, param: str = "audio_sample") -> Heard:
        """What a voice sample becomes; raises InvalidRequest on `param`."""
        # Threads of their own are the bound: a place would be free when its client has gone, and its file still read.
        return await asyncio.get_running_loop().run_in_executor(self._decoders, self._read, data, param)

    def _read(self, data: bytes, param: str) -> Heard:
        return listen(data, sandbox.decode(data, self._limits[1], param), *self._limits, param)


def listen(data: bytes, decoded: Decoded, min_seconds: float, max_seconds: float, param: str) -> Heard:
    """Make a decoded file fit for the codec, or refuse it with the reason."""

    def refuse(message: str) -> InvalidRequest:
        return InvalidRequest(message, param)

    seconds = len(decoded.samples) / decoded.rate
    if seconds < min_seconds or not seconds:
        raise refuse(
            f"The audio has {seconds:.2f} s that can be read; send at least {min_seconds:g} s, in a complete file."
        )
    samples: Samples = soxr.resample(decoded.samples, decoded.rate, CODEC_SAMPLE_RATE, quality="VHQ")
    peak = np.abs(samples).max()
    if not peak <= _LOUDEST:  # NaN too
        raise refuse("The audio holds values that are infinite or not numbers; export it again.")
    if peak < _SILENCE:
        raise refuse("The audio is silent (its peak is below -60 dBFS); send a recording of speech.")
    clipped = quality.clipped(decoded.samples)
    if clipped > quality.RUINED:
        raise refuse(f"The audio is clipped ({clipped:.0%} of it): the voice is lost; record it less loud.")
    warnings: list[str] = []
    if decoded.more:
        samples = _cut(samples, max_seconds, warnings)
    levels = Levels.of(samples)
    sounding = float(levels.sounding.sum()) * quality.FRAME_SECONDS
    if sounding < min_seconds / 2:
        raise refuse(f"The audio is mostly silence: {sounding:.1f} s of it can be heard; send more speech.")
    samples = _without_silence(samples, levels, warnings)
    if clipped > quality.CLIPPED:
        warnings.append(f"{clipped:.1%} of it is clipped, and the voice will sound harsh: record it less loud.")
    if levels.noisy:
        warnings.append("There is noise or music behind the voice, which the voice will take on.")
    if levels.quiet:
        warnings.append("It is very quiet: what is made louder is its noise, too.")
    if decoded.rate < _NARROW:
        warnings.append(f"Its rate of {decoded.rate} Hz leaves out high sounds; 16000 Hz or more serve better.")
    if sounding < _SHORT:
        warnings.append(f"There is {sounding:.1f} s of sound in it; a voice gets closer with 5 to 15 s.")
    sample = Sample(Recording(data, decoded.media_type), decoded.more)
    return Heard(normalise_volume(samples), sample, tuple(warnings))


def _cut(samples: Samples, max_seconds: float, warnings: list[str]) -> Samples:
    seconds = Levels.of(samples).last_pause()
    warnings.append(f"It is longer than {max_seconds:g} s: only its first {seconds:.1f} s, up to a pause, are used.")
    return samples[: int(seconds * CODEC_SAMPLE_RATE)]


def _without_silence(samples: Samples, levels: Levels, warnings: list[str]) -> Samples:
    """The samples without long silence at the ends."""
    before, after = levels.ends()
    start, end = 0, len(samples)
    if before > quality.LONG_SILENCE:
        start = int((before - quality.KEPT_SILENCE) * CODEC_SAMPLE_RATE)
        warnings.append(f"{before:.1f} s of silence at its beginning were left out.")
    if after > quality.LONG_SILENCE:
        end -= int((after - quality.KEPT_SILENCE) * CODEC_SAMPLE_RATE)
        warnings.append(f"{after:.1f} s of silence at its end were left out.")
    return samples[start:end]


def normalise_volume(samples: Samples) -> Samples:
    """Bring the louder parts of the samples, shape (samples,), to about 0.2, by a factor of 0.1 to 10."""
    if not samples.size:
        return samples
    magnitudes = np.sort(np.abs(samples))
    if magnitudes[-1] < 0.1:
        samples = samples / max(magnitudes[-1], np.float32(1e-3)) * np.float32(0.1)
    audible = magnitudes[magnitudes > 0.01]  # of the samples as they came, not as just scaled
    if audible.size <= 10:
        return samples
    volume = audible[int(0.9 * audible.size) : int(0.99 * audible.size)].mean()
    samples = samples * np.clip(np.float32(0.2) / volume, np.float32(0.1), np.float32(10))
    normalised: Samples = samples / max(np.abs(samples).max(), np.float32(1))
    return normalised
