"""A voice sample as it was uploaded becomes what the codec hears: one channel, 16 kHz, an even loudness."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import soundfile
import soxr

from engine.errors import InvalidRequest
from engine.types import CODEC_SAMPLE_RATE, Samples

_CONTAINERS: Final = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "MP3", "OGG"})  # libsndfile's names
_ACCEPTED: Final = "WAV, FLAC, MP3 or Ogg (Vorbis or Opus)"
_RATES: Final = range(4_000, 192_001)  # Hz; a header must not choose how much memory a second takes
_MAX_CHANNELS: Final = 2
_BLOCK: Final = 65_536  # frames decoded at a time
_UNKNOWN: Final = 2**62  # frames; libsndfile gives 2**63 - 1 for a stream whose header has no length
_LOUDEST: Final = 1e6  # peak; float files on a 16-bit integer's scale pass, what would overflow does not
_SILENCE: Final = 1e-3  # peak, -60 dBFS: below it 16-bit audio is little more than its own rounding


def load_sample(data: bytes, *, min_seconds: float = 1.0, max_seconds: float = 30.0) -> Samples:
    """Decode an audio file and return it at 16 kHz, mono, volume-normalised, shape (samples,).

    The container is recognised by its content. Raises `InvalidRequest` on `audio_sample` for whatever cannot
    become a voice; no more than `max_seconds` are ever held in memory, whatever the file claims.
    """
    if not data:
        raise _invalid(f"The audio sample is empty; send a {_ACCEPTED} file.")
    mono, rate = _decode(data, min_seconds, max_seconds)
    samples: Samples = soxr.resample(mono, rate, CODEC_SAMPLE_RATE, quality="VHQ")
    peak = np.abs(samples).max()
    if not peak <= _LOUDEST:  # NaN too
        raise _invalid("The audio sample holds values that are infinite or not numbers; export it again.")
    if peak < _SILENCE:
        raise _invalid("The audio sample is silent (its peak is below -60 dBFS); send a recording of speech.")
    return normalise_volume(samples)


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


def _decode(data: bytes, min_seconds: float, max_seconds: float) -> tuple[Samples, int]:
    """Return the mean of the channels, shape (frames,), and the rate in Hz."""
    try:
        file = _ForwardFile(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        raise _invalid(f"The audio sample is not readable as audio; send a {_ACCEPTED} file.") from error
    with file:
        rate = int(file.samplerate)
        _check_header(file, max_seconds)
        blocks: list[Samples] = []
        frames = 0
        try:
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                frames += len(block)
                if frames > max_seconds * rate:  # the header did not tell
                    raise _too_long(max_seconds)
                with np.errstate(over="ignore", invalid="ignore"):  # infinities are refused by the caller
                    blocks.append(block.mean(axis=1))
        except soundfile.LibsndfileError as error:
            raise _invalid(
                f"The audio sample is damaged after {frames / rate:.1f} s; send a complete {_ACCEPTED} file."
            ) from error
    if frames < min_seconds * rate or not frames:
        raise _invalid(
            f"The audio sample has {frames / rate:.2f} s of audio that can be read; "
            f"send at least {min_seconds:g} s, in a file that is complete."
        )
    return np.concatenate(blocks), rate


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read once from front to back.

    SoundFile seeks after each block of a seekable file, which fails at the end of FLAC of unknown length.
    """

    def seekable(self) -> bool:
        return False


def _check_header(file: soundfile.SoundFile, max_seconds: float) -> None:
    if file.format not in _CONTAINERS:
        raise _invalid(f"The audio sample is in the format {file.format}; send a {_ACCEPTED} file.")
    if file.channels > _MAX_CHANNELS:
        raise _invalid(f"The audio sample has {file.channels} channels; send it in mono or stereo.")
    if file.samplerate not in _RATES:
        raise _invalid(
            f"The audio sample has a rate of {file.samplerate} Hz; send it at {_RATES[0]} to {_RATES[-1]} Hz."
        )
    if _UNKNOWN > file.frames > max_seconds * file.samplerate:
        raise _too_long(max_seconds, file.frames / file.samplerate)


def _too_long(max_seconds: float, seconds: float | None = None) -> InvalidRequest:
    length = f"{seconds:.1f} s long" if seconds is not None else f"longer than {max_seconds:g} s"
    return _invalid(f"The audio sample is {length}; send at most {max_seconds:g} s.")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="audio_sample")
