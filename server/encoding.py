"""Audio encoding: samples to the bytes of a format, chunk by chunk, and the media types of the formats."""

from __future__ import annotations

import io
from concurrent.futures import Executor
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Final, Literal, cast, get_args

import av
import numpy as np
import numpy.typing as npt

from engine import InvalidRequest, Native

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
"""OpenAI's `response_format`: aac is ADTS, opus is in Ogg, pcm is signed 16-bit little-endian, no header."""

FORMATS: Final[tuple[AudioFormat, ...]] = get_args(AudioFormat)
DEFAULT_FORMAT: Final[AudioFormat] = "mp3"

MEDIA_TYPES: Final[dict[AudioFormat, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",  # RFC 7845; audio/opus is RTP's (RFC 7587), and browsers do not play it
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",  # unregistered, but OpenAI uses it; the registered audio/L16 is big-endian
}

_RATES: Final = (8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

SAMPLE_RATES: Final[dict[AudioFormat, tuple[int, ...]]] = {
    "mp3": _RATES,
    "opus": (8_000, 12_000, 16_000, 24_000, 48_000),
    "aac": _RATES,
    "flac": _RATES,
    "wav": _RATES,
    "pcm": _RATES,
}
"""The sample rates of each format, in Hz."""


def check_sample_rate(audio_format: AudioFormat, sample_rate: int) -> None:
    """Raise `InvalidRequest` for `sample_rate` unless the format supports this rate."""
    allowed = SAMPLE_RATES[audio_format]
    if sample_rate not in allowed:
        rates = ", ".join(str(rate) for rate in allowed)
        raise InvalidRequest(
            f"{audio_format} does not support a sample rate of {sample_rate} Hz; choose one of {rates}.", "sample_rate"
        )


@dataclass(frozen=True, slots=True)
class _Recipe:
    """FFmpeg's parameters for a format. `bit_rate` is for mono speech at 24 kHz and above, in bits per second."""

    container: str
    codec: str
    sample_format: Literal["s16", "flt", "fltp"] = "s16"
    bit_rate: int | None = None
    muxer: dict[str, str] = field(default_factory=dict)


_RECIPES: Final[dict[AudioFormat, _Recipe]] = {
    "mp3": _Recipe("mp3", "libmp3lame", "fltp", 96_000, {"id3v2_version": "0"}),
    # A page is written when the next one begins, so its length (in microseconds) adds latency.
    "opus": _Recipe("ogg", "libopus", "flt", 48_000, {"page_duration": "60000"}),
    "aac": _Recipe("adts", "aac", "fltp", 96_000),
    "flac": _Recipe("flac", "flac", muxer={"metadata_header_padding": "0"}),  # the default is 8 KiB of padding
    "wav": _Recipe("wav", "pcm_s16le"),
    "pcm": _Recipe("s16le", "pcm_s16le"),
}
_BITS_PER_SAMPLE: Final = 4  # upper limit at low rates, where MP3 and AAC allow lower bit rates only

# Makes the bytes reproducible: without the encoder's name or a random serial number.
_MUXER: Final = {"fflags": "+bitexact"}


class Encoder:
    """A streaming encoder. It returns bytes as early as the format allows; their concatenation is a valid file.

    The length is not known in advance: wav states 4 GiB (0xFFFFFFFF, as players expect of a stream), flac states
    "unknown", and mp3 has no gapless information. Not thread-safe: servers use `stream_encoder`.
    """

    def __init__(self, audio_format: AudioFormat, sample_rate: int) -> None:
        self._pipe = _Pipe()
        self._file = _File(audio_format, sample_rate, self._pipe)

    def encode(self, samples: npt.NDArray[np.float32]) -> bytes:
        """Encode the next samples, shape (n,) with any n, and return the bytes that are ready, possibly none.

        Samples are clipped to [-1, 1]; NaN becomes 0.
        """
        self._file.write(samples)
        return self._pipe.take()

    def close(self) -> bytes:
        """Return the last bytes; a second call returns none. Must be called after an abort too, to free memory."""
        self._file.close()
        return self._pipe.take()


def stream_encoder(threads: Executor, audio_format: AudioFormat, sample_rate: int) -> Native[Encoder]:
    """Return an encoder that runs, and is closed, in these threads."""
    return Native(threads, partial(Encoder, audio_format, sample_rate), Encoder.close)


class WholeFile:
    """An encoder of one file whose headers state the exact length. Not thread-safe: servers use `whole_file`."""

    def __init__(self, audio_format: AudioFormat, sample_rate: int) -> None:
        self._bytes = io.BytesIO()  # seekable: the headers are written again at the end
        self._file = _File(audio_format, sample_rate, self._bytes)

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        """Encode the next samples, as `Encoder.encode` does."""
        self._file.write(samples)

    def close(self) -> bytes:
        """Return the file."""
        self._file.close()
        return self._bytes.getvalue()


def whole_file(threads: Executor, audio_format: AudioFormat, sample_rate: int) -> Native[WholeFile]:
    """Return a file that is written, and is closed, in these threads."""
    return Native(threads, partial(WholeFile, audio_format, sample_rate), WholeFile.close)


def encode_all(samples: npt.NDArray[np.float32], audio_format: AudioFormat, sample_rate: int) -> bytes:
    """Return all samples, shape (n,), as one file whose headers state the exact length."""
    file = WholeFile(audio_format, sample_rate)
    file.write(samples)
    return file.close()


class _Pipe:
    """A sink for FFmpeg without seeking."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


class _File:
    """FFmpeg's encoder and muxer of one mono stream, with output to a sink."""

    def __init__(self, audio_format: AudioFormat, sample_rate: int, sink: _Pipe | io.BytesIO) -> None:
        check_sample_rate(audio_format, sample_rate)
        recipe = _RECIPES[audio_format]
        self._sample_format = recipe.sample_format
        self._sample_rate = sample_rate
        self._written = 0
        self._closed = False
        self._container = av.open(sink, "w", format=recipe.container, container_options=_MUXER | recipe.muxer)
        stream = self._container.add_stream(recipe.codec, sample_rate, {"flags": "+bitexact"})
        self._stream = cast(av.AudioStream, stream)
        self._stream.layout = "mono"
        self._stream.format = recipe.sample_format
        if recipe.bit_rate is not None:
            self._stream.bit_rate = min(recipe.bit_rate, _BITS_PER_SAMPLE * sample_rate)
        self._container.start_encoding()

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        if not samples.size:
            return
        frame = av.AudioFrame.from_ndarray(
            self._as_encoded(samples)[np.newaxis], format=self._sample_format, layout="mono"
        )
        frame.sample_rate = self._sample_rate
        frame.time_base = Fraction(1, self._sample_rate)
        frame.pts = self._written
        self._written += samples.size
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def _as_encoded(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | npt.NDArray[np.int16]:
        # LAME aborts the whole process on NaN.
        clipped = np.nan_to_num(np.clip(samples, -1, 1)).astype(np.float32, copy=False)
        if self._sample_format != "s16":
            return clipped
        return np.rint(clipped * 32768).clip(-32768, 32767).astype(np.int16)  # decoders divide by 32768
