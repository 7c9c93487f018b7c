"""Decodes one audio file to samples, in a process of its own with limits on time and memory.

FFmpeg reads files from strangers, so it runs where it can do no harm. This file is run as a script: it reads the audio
from stdin and writes a line of JSON, then mono float32 samples. It imports nothing of the engine, so it starts fast.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt

MEMORY = 2**30  # bytes of address space; the libraries need a third of it
CPU_SECONDS = 20

MEDIA_TYPES = {
    "aac": "audio/aac",
    "amr": "audio/amr",
    "flac": "audio/flac",
    "matroska": "audio/webm",
    "mov": "audio/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
}
"""FFmpeg's containers, recognised by their content. FFmpeg does not try others, such as playlists that name files."""

ACCEPTED = "WAV, FLAC, MP3, Ogg, AAC, AMR, MP4, 3GP or WebM"
CODECS = ("aac", "alac", "amr", "flac", "mp3", "opus", "pcm", "vorbis")  # prefixes of their names, without "lib"
RATES = range(4_000, 192_001)  # Hz; the header must not decide how much memory a second takes
MAX_CHANNELS = 2
TIMED_BY_RECORDER = ("matroska", "mov")
"""Containers in which the recorder sets the time of each frame: a gap is silence, such as a pause or a lost buffer."""

SILENCE_SECONDS = 0.04  # a shorter gap is the jitter of a recorder's clock
GAP_SECONDS = 0.1  # in other containers, time is counted from the frames: a longer gap is damage


class RefusedAudio(Exception):
    """The file cannot be used. The message says why; it continues a sentence that starts with "The audio"."""


@dataclass(frozen=True)
class Decoded:
    """The mean of the channels, shape (frames,), at `rate` Hz; `more` if the file continues after that."""

    samples: npt.NDArray[np.float32]
    rate: int
    media_type: str
    more: bool


def decode(data: bytes, max_seconds: float) -> Decoded:
    """Decode at most `max_seconds` of an audio file; raises RefusedAudio."""
    if not data:
        raise RefusedAudio(f"is empty; send a {ACCEPTED} file")
    options = {"format_whitelist": ",".join(MEDIA_TYPES)}
    try:
        with av.open(io.BytesIO(data), "r", options=options, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise RefusedAudio(f"file has no audio in it; send a {ACCEPTED} file")
            media_type = MEDIA_TYPES[container.format.name.split(",")[0]]
            samples, rate, more = _samples(container, container.streams.audio[0], max_seconds)
    except (av.error.FFmpegError, ValueError) as error:
        raise RefusedAudio(f"is not readable as audio; send a {ACCEPTED} file") from error
    return Decoded(samples, rate, media_type, more)


def _samples(
    container: av.container.InputContainer, stream: av.AudioStream, max_seconds: float
) -> tuple[npt.NDArray[np.float32], int, bool]:
    if not stream.codec_context.name.removeprefix("lib").startswith(CODECS):
        raise RefusedAudio(f"is coded as {stream.codec_context.name}; send a plain {ACCEPTED} file")
    _check(stream.rate, stream.channels)
    stream.codec_context.options = {"err_detect": "crccheck+explode"}
    stream.codec_context.thread_count = 1  # with many cores, the stacks of threads would exceed the memory limit
    to_float = av.AudioResampler("fltp")
    blocks: list[npt.NDArray[np.float32]] = []
    frames, rate, broken, begun = 0, stream.rate, False, 0.0
    fill = container.format.name.startswith(TIMED_BY_RECORDER)
    try:
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                broken = True  # the file is truncated here, unless a later packet can be decoded
                continue
            for frame in decoded:
                begun = begun if blocks else frame.time or 0.0
                gap = (frame.time or 0.0) - begun - frames / rate
                if broken or (blocks and frame.sample_rate != rate) or (gap > GAP_SECONDS and not fill):
                    raise RefusedAudio(f"is damaged after {frames / rate:.1f} s; send a complete {ACCEPTED} file")
                rate = frame.sample_rate  # HE-AAC has twice the rate of the header
                _check(rate, frame.layout.nb_channels)
                if fill and gap > SILENCE_SECONDS:
                    silence = round(min(gap, max_seconds) * rate)
                    blocks.append(np.zeros(silence, np.float32))
                    frames += silence
                for plain in to_float.resample(frame):
                    with np.errstate(over="ignore", invalid="ignore"):  # infinities are rejected later
                        blocks.append(plain.to_ndarray().mean(axis=0))
                    frames += plain.samples
            if frames > max_seconds * rate:
                break
    except av.error.FFmpegError:
        pass  # the container is truncated
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    longest = int(max_seconds * rate)
    return samples[:longest], rate, frames > longest


def _check(rate: int, channels: int) -> None:
    if channels > MAX_CHANNELS:
        raise RefusedAudio(f"has {channels} channels; send it in mono or stereo")
    if rate not in RATES:
        raise RefusedAudio(f"has a rate of {rate} Hz; send it at {RATES[0]} to {RATES[-1]} Hz")


def main() -> None:
    """Decode stdin; the argument is the maximum number of seconds."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        decoded = decode(sys.stdin.buffer.read(), float(sys.argv[1]))
    except RefusedAudio as error:
        sys.stdout.write(json.dumps({"refused": str(error)}) + "\n")
        return
    told = {"rate": decoded.rate, "media_type": decoded.media_type, "more": decoded.more}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + decoded.samples.tobytes())


if __name__ == "__main__":
    main()
