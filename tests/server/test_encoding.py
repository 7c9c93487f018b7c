"""Encoding: each format, whole and streamed, decoded with FFmpeg and libsndfile."""

import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

from engine.errors import InvalidRequest
from engine.types import Samples
from server.encoding import (
    DEFAULT_FORMAT,
    FORMATS,
    MEDIA_TYPES,
    SAMPLE_RATES,
    AudioFormat,
    Encoder,
    check_sample_rate,
    encode_all,
)

GOLDEN = Path(__file__).parent.parent / "golden"
EXACT: tuple[AudioFormat, ...] = ("opus", "flac", "wav", "pcm")
RATES = (24_000, 48_000)


def speech(rate: int, seconds: float = 2.5) -> Samples:
    samples, own = soundfile.read(GOLDEN / "clip.wav", dtype="float32")
    resampled: Samples = soxr.resample(samples, own, rate)
    return resampled[: round(seconds * rate)]


def stream(samples: Samples, audio_format: AudioFormat, rate: int, size: int = 0) -> list[bytes]:
    """Encode in chunks, by default of 0.1 s."""
    size = size or rate // 10
    encoder = Encoder(audio_format, rate)
    pieces = [encoder.encode(samples[start : start + size]) for start in range(0, samples.size, size)]
    return [*pieces, encoder.close()]


def decode(data: bytes, audio_format: AudioFormat, rate: int) -> Samples:
    """Decode to float32 at the rate that was encoded (FFmpeg decodes Opus at 48 kHz)."""
    if audio_format == "pcm":
        return (np.frombuffer(data, "<i2") / 32768).astype(np.float32)
    # FFmpeg does not recognise ADTS of two frames by itself.
    with av.open(io.BytesIO(data), "r", format="aac" if audio_format == "aac" else None) as container:
        frames = list(container.decode(audio=0))
    assert all(frame.layout.nb_channels == 1 for frame in frames)
    planes = [frame.to_ndarray()[0] for frame in frames]
    samples = np.concatenate(planes)
    if samples.dtype != np.float32:
        samples = (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    own = frames[0].sample_rate
    resampled: Samples = soxr.resample(samples, own, rate)
    return resampled


def surplus(audio_format: AudioFormat, rate: int, *, streamed: bool) -> range:
    """Return how many samples more than went in may come out."""
    if audio_format == "aac":
        return range(1024, 2048)  # ADTS cannot say: a frame of priming, and the last one filled up
    if audio_format == "mp3" and streamed:
        return range(1105, 1105 + 1153)  # LAME's delay and the decoder's, which only a whole file can state
    return range(1)


def similarity(original: Samples, decoded: Samples) -> tuple[float, int]:
    """Return the correlation at the best alignment, and the delay found there."""
    size = original.size + decoded.size
    cross = np.fft.irfft(np.conj(np.fft.rfft(original, size)) * np.fft.rfft(decoded, size), size)
    delay = int(np.argmax(cross[: decoded.size]))
    aligned = decoded[delay : delay + original.size]
    return float(np.corrcoef(original[: aligned.size], aligned)[0, 1]), delay


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("audio_format", FORMATS)
def test_what_is_decoded_is_what_was_said(audio_format: AudioFormat, streamed: bool, rate: int) -> None:
    for samples in (speech(rate), speech(rate)[rate : rate + 480]):
        data = b"".join(stream(samples, audio_format, rate)) if streamed else encode_all(samples, audio_format, rate)
        decoded = decode(data, audio_format, rate)
        assert decoded.size - samples.size in surplus(audio_format, rate, streamed=streamed)
        if samples.size > 480:  # ten milliseconds say little to a lossy codec
            correlation, delay = similarity(samples, decoded)
            assert correlation > (0.9999 if audio_format in ("flac", "wav", "pcm") else 0.95)
            assert (delay <= 2) == (audio_format in EXACT or (audio_format == "mp3" and not streamed))


@pytest.mark.parametrize("audio_format", ["flac", "wav", "pcm"])
def test_lossless_formats_hold_the_rounded_samples(audio_format: AudioFormat) -> None:
    samples = speech(24_000)
    for data in (encode_all(samples, audio_format, 24_000), b"".join(stream(samples, audio_format, 24_000))):
        decoded = decode(data, audio_format, 24_000)
        np.testing.assert_allclose(decoded, samples, rtol=0, atol=0.5 / 32768 + 1e-7)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_first_third_of_a_second_gives_audio(audio_format: AudioFormat) -> None:
    samples = speech(24_000, 0.3)
    first = Encoder(audio_format, 24_000).encode(samples)
    assert decode(first, audio_format, 24_000).size >= 0.1 * 24_000


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_chunks_do_not_matter(audio_format: AudioFormat) -> None:
    samples = speech(24_000, 0.5)
    expected = b"".join(stream(samples, audio_format, 24_000))
    for size in (37, 5000, samples.size):
        assert b"".join(stream(samples, audio_format, 24_000, size)) == expected
    encoder = Encoder(audio_format, 24_000)
    pieces = [encoder.encode(chunk) for chunk in (samples[:0], samples[:700], samples[:0], samples[700:])]
    assert b"".join((*pieces, encoder.close())) == expected


@pytest.mark.parametrize("audio_format", FORMATS)
def test_every_rate_of_every_format_encodes(audio_format: AudioFormat) -> None:
    for rate in SAMPLE_RATES[audio_format]:
        check_sample_rate(audio_format, rate)
        samples = speech(rate, 0.5)
        decoded = decode(encode_all(samples, audio_format, rate), audio_format, rate)
        assert decoded.size - samples.size in surplus(audio_format, rate, streamed=False)
        assert similarity(samples, decoded)[0] > 0.9


def test_a_rate_that_the_format_lacks_is_refused_with_those_it_has() -> None:
    wrong: list[tuple[AudioFormat, int]] = [("opus", 44_100), ("mp3", 96_000), ("pcm", 0)]
    for audio_format, rate in wrong:
        with pytest.raises(InvalidRequest, match=r"choose one of 8000, 12000, 16000, .*48000") as caught:
            check_sample_rate(audio_format, rate)
        assert caught.value.param == "sample_rate"
        with pytest.raises(InvalidRequest):
            Encoder(audio_format, rate)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_no_samples_give_an_empty_file(audio_format: AudioFormat) -> None:
    start = {"opus": b"OggS", "flac": b"fLaC", "wav": b"RIFF"}.get(audio_format, b"")
    for data in (b"".join(stream(speech(24_000, 0), audio_format, 24_000)), Encoder(audio_format, 24_000).close()):
        assert data.startswith(start)
        assert bool(data) == bool(start)  # mp3, aac and pcm have no header of their own
    whole = encode_all(speech(24_000, 0), audio_format, 24_000)
    assert whole.startswith(start)
    if audio_format == "wav":  # to flac a length of 0 is an unknown one
        assert soundfile.info(io.BytesIO(whole)).frames == 0


def test_a_streamed_wav_says_the_maximum_and_a_whole_one_the_truth() -> None:
    samples = speech(24_000)
    streamed = b"".join(stream(samples, "wav", 24_000))
    assert streamed[4:8] == streamed[40:44] == b"\xff\xff\xff\xff"
    assert soundfile.info(io.BytesIO(streamed)).frames == samples.size
    whole = encode_all(samples, "wav", 24_000)
    assert whole[44:] == streamed[44:] == encode_all(samples, "pcm", 24_000)
    with wave.open(io.BytesIO(whole)) as header:
        assert header.getparams()[:4] == (1, 2, 24_000, samples.size)


def test_a_whole_flac_knows_its_length() -> None:
    samples = speech(24_000)
    assert soundfile.info(io.BytesIO(encode_all(samples, "flac", 24_000))).frames == samples.size


def test_opus_states_its_rate_and_begins_at_once() -> None:
    data = encode_all(speech(24_000, 0.2), "opus", 24_000)
    head = data[data.index(b"OpusHead") :]
    assert head[9] == 1  # channel
    assert int.from_bytes(head[10:12], "little") == 312  # pre-skip at 48 kHz, 6.5 ms
    assert int.from_bytes(head[12:16], "little") == 24_000


def test_samples_out_of_range_are_clipped_and_none_is_lost() -> None:
    samples = np.array([0, 0.5, 1, 1.5, 1e30, np.inf, -1, -1.5, -np.inf, np.nan, 0.6 / 32768], np.float32)
    encoded = np.frombuffer(encode_all(samples, "pcm", 24_000), "<i2")
    high, low = 32767, -32768
    assert encoded.tolist() == [0, 16384, high, high, high, high, low, low, low, 0, 1]


@pytest.mark.parametrize("audio_format", FORMATS)
def test_loud_and_broken_samples_break_no_encoder(audio_format: AudioFormat) -> None:
    samples = speech(24_000, 0.5) * 10
    samples[5000:5010] = np.nan
    decoded = decode(encode_all(samples, audio_format, 24_000), audio_format, 24_000)
    assert np.isfinite(decoded).all()
    assert np.abs(decoded).max() < 2  # a lossy codec overshoots the clipped wave, but not by ten
    assert similarity(np.clip(np.nan_to_num(samples), -1, 1), decoded)[0] > 0.95


@pytest.mark.parametrize("audio_format", FORMATS)
def test_an_encoder_may_be_left_unfinished_or_closed_twice(audio_format: AudioFormat) -> None:
    Encoder(audio_format, 24_000)
    encoder = Encoder(audio_format, 24_000)
    encoder.encode(speech(24_000, 0.2))
    encoder.close()
    assert encoder.close() == b""


def test_the_tables_are_complete() -> None:
    assert DEFAULT_FORMAT == "mp3"
    assert set(FORMATS) == set(MEDIA_TYPES) == set(SAMPLE_RATES)
    assert all(24_000 in rates for rates in SAMPLE_RATES.values())
