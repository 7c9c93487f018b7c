"""Decodes the audio of responses."""

import io

import av
import numpy as np
import numpy.typing as npt
import soxr

from engine import CODEC_SAMPLE_RATE
from server.encoding import AudioFormat

SHORT = {"seed": 7, "max_tokens": 60}  # a request's settings for 1.2 s of each sentence
DELAY = {"mp3": 2400, "aac": 4096}  # samples at 24 kHz by which an answer in this format may be longer


def decoded(data: bytes, audio_format: AudioFormat) -> tuple[npt.NDArray[np.float32], int]:
    """Samples and rate of a file, by FFmpeg."""
    container_format = {"pcm": "s16le", "aac": "aac", "opus": "ogg"}.get(audio_format, audio_format)
    options = {"sample_rate": "24000", "ch_layout": "mono"} if audio_format == "pcm" else {}
    resampler = av.AudioResampler(format="flt", layout="mono", rate=24_000)
    with av.open(io.BytesIO(data), format=container_format, options=options) as container:
        rate = container.streams.audio[0].rate
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), rate


def at_codec_rate(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """24 kHz as a client hears it, 16 kHz as a judge does."""
    resampled: npt.NDArray[np.float32] = soxr.resample(samples, 24_000, CODEC_SAMPLE_RATE)
    return resampled


def pcm(data: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768
