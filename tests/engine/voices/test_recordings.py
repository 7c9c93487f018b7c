"""Samples as phones and browsers record them: gaps, no duration, edit lists, AMR, 3GP, chained streams."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from engine.types import Samples
from engine.voices import audio_decoder, sandbox
from engine.voices.audio_decoder import Decoded, RefusedAudio

SECONDS = 3.0
FREQUENCY = 300  # Hz


def tone(rate: int, seconds: float = SECONDS, frequency: int = FREQUENCY) -> Samples:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


class Stream(io.RawIOBase):
    """A file that the muxer cannot seek in, as a browser records: no duration is written afterwards."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


def record(container: str, codec: str, rate: int, gap: float = 0.0, *, seekable: bool = True) -> bytes:
    """A recording of a tone, in whose middle the recorder was away for `gap` seconds."""
    file = io.BytesIO() if seekable else Stream()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(rate)[None], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampled = av.AudioResampler(stream.format.name, "mono", rate).resample(frame)
        packets = [packet for part in (*resampled, None) for packet in stream.encode(part)]
        for number, packet in enumerate(packets):
            if packet.pts is not None and packet.dts is not None and number > len(packets) // 2:
                packet.pts += int(gap / packet.time_base)
                packet.dts += int(gap / packet.time_base)
            output.mux(packet)
    return bytes(file.data) if isinstance(file, Stream) else file.getvalue()


def seconds_of(decoded: Decoded) -> float:
    return len(decoded.samples) / decoded.rate


def loud(decoded: Decoded) -> float:
    """Seconds that are not silent."""
    frames = decoded.samples[: len(decoded.samples) // 100 * 100].reshape(-1, 100)
    return float((np.abs(frames).max(axis=1) > 0.05).sum()) * 100 / decoded.rate


def pitch(samples: Samples, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(spectrum.argmax()) * rate / len(samples)


@pytest.mark.parametrize(("container", "codec", "rate"), [("mp4", "aac", 44_100), ("webm", "libopus", 48_000)])
@pytest.mark.parametrize("gap", [0.06, 0.2, 0.5, 2.0])
def test_a_gap_in_the_time_of_a_recorder_is_silence(container: str, codec: str, rate: int, gap: float) -> None:
    decoded = audio_decoder.decode(record(container, codec, rate, gap), 30)
    assert seconds_of(decoded) == pytest.approx(SECONDS + gap, abs=0.03)
    assert loud(decoded) == pytest.approx(SECONDS, abs=0.06)


def test_a_long_gap_takes_no_more_memory_than_the_longest_sample() -> None:
    decoded = audio_decoder.decode(record("webm", "libopus", 48_000, 100_000), 5)
    assert seconds_of(decoded) == 5
    assert decoded.more


def test_jitter_of_a_clock_is_no_silence() -> None:
    plain = audio_decoder.decode(record("webm", "libopus", 48_000), 30)
    jittered = audio_decoder.decode(record("webm", "libopus", 48_000, 0.02), 30)
    np.testing.assert_array_equal(jittered.samples, plain.samples)


def test_a_gap_where_time_is_counted_is_damage() -> None:
    with pytest.raises(RefusedAudio, match="is damaged after"):
        audio_decoder.decode(record("ogg", "libopus", 48_000, 0.5), 30)


def test_webm_without_a_duration_is_read_to_its_end() -> None:
    data = record("webm", "libopus", 48_000, seekable=False)
    with av.open(io.BytesIO(data)) as container:
        assert container.duration is None
    assert seconds_of(audio_decoder.decode(data, 30)) == pytest.approx(SECONDS, abs=0.03)


def edited(m4a: bytes, start: int) -> bytes:
    """An edit list (`elst`, one entry) that begins at the sample `start`, as phones write it after trimming."""
    at = m4a.index(b"elst") + 4 + 4 + 4  # name, version and flags, number of entries
    assert m4a[at - 4 : at] == (1).to_bytes(4, "big")
    return m4a[: at + 4] + start.to_bytes(4, "big") + m4a[at + 8 :]


def test_an_edit_list_leaves_out_what_was_trimmed() -> None:
    m4a = record("mp4", "aac", 44_100)
    whole, trimmed = (audio_decoder.decode(data, 30) for data in (m4a, edited(m4a, 44_100)))
    assert seconds_of(whole) - seconds_of(trimmed) == pytest.approx(1.0, abs=0.03)
    assert pitch(trimmed.samples, trimmed.rate) == pytest.approx(FREQUENCY, abs=1)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "media_type"),
    [
        ("amr", "libopencore_amrnb", 8_000, "audio/amr"),
        ("3gp", "libopencore_amrnb", 8_000, "audio/mp4"),
        ("3gp", "aac", 16_000, "audio/mp4"),
    ],
)
def test_old_phones(container: str, codec: str, rate: int, media_type: str) -> None:
    decoded = sandbox.decode(record(container, codec, rate), 30, "audio_sample")
    assert (decoded.media_type, decoded.rate) == (media_type, rate)
    assert seconds_of(decoded) == pytest.approx(SECONDS, abs=0.05)
    assert pitch(decoded.samples, rate) == pytest.approx(FREQUENCY, abs=1)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_chained_ogg_is_heard_whole(subtype: str) -> None:
    chain = b""
    for frequency in (FREQUENCY, 2 * FREQUENCY):
        file = io.BytesIO()
        soundfile.write(file, tone(48_000, frequency=frequency), 48_000, format="OGG", subtype=subtype)
        chain += file.getvalue()
    decoded = audio_decoder.decode(chain, 30)
    assert seconds_of(decoded) == pytest.approx(2 * SECONDS, abs=0.05)
    second = decoded.samples[int(1.2 * SECONDS * decoded.rate) :]
    assert pitch(second, decoded.rate) == pytest.approx(2 * FREQUENCY, abs=1)
