"""Uploaded samples: what is accepted, what the codec then hears, and what is refused with which words."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from engine.errors import InvalidRequest
from engine.types import CODEC_SAMPLE_RATE, Recording, Samples
from engine.voices import audio_decoder, sandbox
from engine.voices.audio_decoder import RefusedAudio
from engine.voices.samples import Heard, SampleReader, listen, normalise_volume

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def speech() -> tuple[npt.NDArray[np.float32], int]:
    samples, rate = soundfile.read(GOLDEN / "clip.wav", dtype="float32")
    return samples, rate


def write(samples: npt.ArrayLike, rate: int, container: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.asarray(samples), rate, format=container, subtype=subtype)
    return file.getvalue()


def hear(data: bytes, *, min_seconds: float = 1.0, max_seconds: float = 30.0) -> Heard:
    """As `SampleReader` does it, but in this process: that is faster."""
    try:
        decoded = audio_decoder.decode(data, max_seconds)
    except RefusedAudio as error:
        raise InvalidRequest(f"The audio {error}.", "audio_sample") from error
    return listen(data, decoded, min_seconds, max_seconds, "audio_sample")


def load_sample(data: bytes, **limits: float) -> Samples:
    return hear(data, **limits).samples


def refusal(data: bytes, **limits: float) -> str:
    with pytest.raises(InvalidRequest) as caught:
        load_sample(data, **limits)
    assert caught.value.param == "audio_sample"
    return str(caught.value)


def without_length(flac: bytes) -> bytes:
    """Set STREAMINFO's total of samples (36 bits) to 0, "unknown", as a streaming encoder leaves it."""
    word = int.from_bytes(flac[18:26], "big") >> 36 << 36
    return flac[:18] + word.to_bytes(8, "big") + flac[26:]


@pytest.mark.parametrize(
    ("clip", "golden", "within"),
    [
        ("clip.wav", "small.npz", 1e-6),
        ("clip-stereo-44k.wav", "stereo.npz", 1e-4),  # the reference hears one channel of two not quite equal
    ],
)
def test_a_clip_becomes_what_the_reference_hears(clip: str, golden: str, within: float) -> None:
    samples = load_sample((GOLDEN / clip).read_bytes())
    expected = np.load(GOLDEN / golden)["wav_16k"]
    assert samples.dtype == np.float32
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples, expected, rtol=0, atol=within)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "FLOAT"), ("WAV", "PCM_24"), ("FLAC", None), ("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")],
)
def test_every_format_is_told_by_its_content(
    speech: tuple[npt.NDArray[np.float32], int], container: str, subtype: str | None
) -> None:
    samples, rate = speech
    if subtype == "OPUS":
        rate = 24_000  # Opus has no 22.05 kHz; a little faster speech serves as well
    expected = load_sample(write(samples, rate))
    loaded = load_sample(write(samples, rate, container, subtype))
    assert abs(loaded.size - expected.size) <= 2
    size = min(loaded.size, expected.size)
    correlation = np.corrcoef(loaded[:size], expected[:size])[0, 1]
    assert correlation > (0.9 if subtype == "OPUS" else 0.98)  # five samples of delay would give 0.3


def test_channels_are_averaged(speech: tuple[npt.NDArray[np.float32], int]) -> None:
    samples, rate = speech
    uneven = np.stack((samples, np.zeros_like(samples)), axis=1)
    both = load_sample(write(uneven, rate, subtype="FLOAT"))
    half = load_sample(write(samples / 2, rate, subtype="FLOAT"))
    np.testing.assert_allclose(both, half, atol=1e-6)


def test_flac_of_unknown_length_is_read_to_its_end(speech: tuple[npt.NDArray[np.float32], int]) -> None:
    flac = write(*speech, container="FLAC")
    np.testing.assert_array_equal(load_sample(without_length(flac)), load_sample(flac))


def test_a_cut_file_serves_as_far_as_it_goes(speech: tuple[npt.NDArray[np.float32], int]) -> None:
    wav = write(*speech)
    assert load_sample(wav[: len(wav) // 2]).size == pytest.approx(2.52 * CODEC_SAMPLE_RATE, rel=0.01)
    assert "0.10 s" in refusal(wav[: len(wav) // 50])


def test_what_is_not_audio_is_refused_with_the_accepted_formats() -> None:
    for data in (b"ID3, said the text file. " * 50, bytes(1000), b"RIFF", write(np.zeros(9), 8000)[:20]):
        message = refusal(data)
        assert "not readable as audio" in message
        assert "WAV, FLAC, MP3, Ogg, AAC, AMR, MP4, 3GP or WebM" in message


@pytest.mark.parametrize("container", ["AIFF", "CAF", "W64", "AU", "VOC"])
def test_other_containers_are_refused(speech: tuple[npt.NDArray[np.float32], int], container: str) -> None:
    assert "not readable as audio" in refusal(write(*speech, container=container))


def test_an_empty_upload_and_a_file_without_samples_are_refused() -> None:
    assert "is empty" in refusal(b"")
    assert "0.00 s" in refusal(write(np.zeros(0), 16_000))
    assert "0.00 s" in refusal(write(np.zeros(0), 16_000), min_seconds=0)


def test_damage_in_the_middle_is_refused(speech: tuple[npt.NDArray[np.float32], int]) -> None:
    flac = bytearray(write(*speech, container="FLAC"))
    flac[len(flac) // 2 : len(flac) // 2 + 2000] = bytes(2000)
    assert "damaged after" in refusal(bytes(flac))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_values_that_no_recording_has_are_refused(speech: tuple[npt.NDArray[np.float32], int], value: float) -> None:
    samples = speech[0].copy()
    samples[2000] = value
    assert "not numbers" in refusal(write(samples, speech[1], subtype="FLOAT"))


def phrases(seconds: float, rate: int = 16_000) -> npt.NDArray[np.float32]:
    """Something like speech: 0.8 s of a buzzing voice, then 0.3 s of a quiet room, and so on."""
    t = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * n * t + n * n) / n for n in range(1, 20)) * (
        1 + 0.5 * np.sin(2 * np.pi * 4 * t)
    )
    room = np.random.default_rng(0).normal(0, 2e-4, t.size)
    return (0.1 * buzz * (t % 1.1 < 0.8) + room).astype(np.float32)


def test_a_sample_has_to_have_a_length() -> None:
    words = "0.99 s that can be read. Send a complete file of at least 1 s"
    assert words in refusal(write(phrases(0.99), 16_000), min_seconds=1)
    assert load_sample(write(phrases(1), 16_000), min_seconds=1).size == 16_000
    assert not hear(write(phrases(8), 16_000), max_seconds=8).sample.cut


def test_a_long_sample_is_cut_at_a_pause() -> None:
    heard = hear(write(phrases(12), 16_000), max_seconds=5)
    assert heard.sample.cut
    assert heard.samples.size / 16_000 == pytest.approx(4.25, abs=0.1)  # the fourth pause is from 4.1 to 4.4 s
    assert [line for line in heard.warnings if "longer than 5 s. Only its first 4.3 s" in line]


def test_a_long_sample_without_a_pause_is_cut_where_it_is_quietest() -> None:
    steady = np.random.default_rng(0).uniform(-0.5, 0.5, 12 * 16_000)
    steady[int(4.0 * 16_000) : int(4.2 * 16_000)] *= 0.3  # quieter, but no pause
    assert load_sample(write(steady, 16_000), max_seconds=5).size / 16_000 == pytest.approx(4.1, abs=0.05)


def test_a_small_file_of_hours_takes_no_memory(speech: tuple[npt.NDArray[np.float32], int]) -> None:
    flac = write(np.zeros(20 * 60 * 24_000, np.int16), 24_000, "FLAC")
    assert len(flac) < 200_000
    for data in (flac, without_length(flac)):
        tracemalloc.start()
        try:
            assert "silent" in refusal(data, max_seconds=3)
            assert tracemalloc.get_traced_memory()[1] < 4_000_000  # bytes; all of it would be 115 MB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 3), (2_000_000_000, 1), (100, 1)])
def test_a_header_cannot_ask_for_odd_rates_or_many_channels(rate: int, channels: int) -> None:
    words = "in mono or stereo" if channels > 2 else "4000 to 192000 Hz"
    assert words in refusal(write(np.ones((16_000, channels)) / 2, rate))


def test_silence_is_refused_and_quiet_speech_is_not(speech: tuple[npt.NDArray[np.float32], int]) -> None:
    samples, rate = speech
    samples = samples / np.abs(samples).max()
    assert "is silent" in refusal(write(np.zeros_like(samples), rate))
    assert "is silent" in refusal(write(samples * 0.9e-3, rate, subtype="FLOAT"))
    heard = hear(write(samples * 1.1e-3, rate, subtype="FLOAT"))
    assert np.abs(heard.samples).max() > 0.09
    assert any("very quiet" in line for line in heard.warnings)


def test_a_recording_that_is_nearly_all_silence_is_refused() -> None:
    word = np.zeros(10 * 16_000, np.float32)
    word[40_000:43_200] = phrases(0.2)
    assert "mostly silence: only 0.2 s" in refusal(write(word, 16_000))
    click = np.zeros(3 * 16_000, np.float32)
    click[20_000] = 0.9
    assert "mostly silence" in refusal(write(click, 16_000))


def test_silence_at_the_ends_is_left_out() -> None:
    samples = np.concatenate((np.zeros(2 * 16_000), phrases(4.1), np.zeros(16_000 * 3 // 2)))
    heard = hear(write(samples, 16_000))
    assert heard.samples.size / 16_000 == pytest.approx(0.1 + 4.1 + 0.1, abs=0.05)
    assert [line for line in heard.warnings if "2.0 s of silence at the beginning" in line]
    assert [line for line in heard.warnings if "1.5 s of silence at the end" in line]


def test_a_good_recording_has_no_warnings(speech: tuple[npt.NDArray[np.float32], int]) -> None:
    for data in (write(*speech), write(*speech, container="MP3"), write(phrases(8), 16_000)):
        assert hear(data).warnings == ()


@pytest.mark.parametrize(
    ("harm", "rate", "words"),
    [
        (lambda x: x + np.random.default_rng(0).normal(0, 0.03, x.size), 16_000, "noise or music behind"),
        (lambda x: np.clip(x * 10, -1, 1), 16_000, "is clipped"),
        (lambda x: np.clip(x, -0.2, 0.2), 16_000, "is clipped"),  # by the recorder, and made quieter later
        (lambda x: x / 60, 16_000, "very quiet"),
        (lambda x: x, 8_000, "8000 Hz lacks"),
        (lambda x: x[:24_000], 16_000, "1.2 s of speech"),
    ],
    ids=["noise", "clipped", "clipped, then quiet", "quiet", "telephone", "short"],
)
def test_what_will_harm_a_voice_is_said(harm: Callable[[Any], Any], rate: int, words: str) -> None:
    warnings = hear(write(harm(phrases(8, rate)), rate, subtype="FLOAT")).warnings
    assert len(warnings) == 1, warnings
    assert words in warnings[0]


def test_a_recording_that_is_clipped_beyond_repair_is_refused() -> None:
    square = np.sign(np.sin(2 * np.pi * 100 * np.arange(16_000) / 16_000 + 0.1)) * 0.9
    assert "too clipped" in refusal(write(square, 16_000))


def test_full_scale_is_not_wrapped() -> None:
    loud = load_sample(write(np.sin(2 * np.pi * 100 * np.arange(16_000) / 16_000) * 4, 16_000, subtype="FLOAT"))
    assert np.abs(loud).max() == pytest.approx(0.4, rel=0.01)  # the factor goes no lower than 0.1


async def test_the_reader_decodes_elsewhere_and_hears_the_same() -> None:
    data = (GOLDEN / "clip.wav").read_bytes()
    heard = await SampleReader().read(data)
    np.testing.assert_array_equal(heard.samples, load_sample(data))
    assert heard.sample.recording == Recording(data, "audio/wav")
    with pytest.raises(InvalidRequest, match="The audio is empty") as caught:
        await SampleReader().read(b"", "recording")
    assert caught.value.param == "recording"


def test_a_decoder_that_takes_too_much_is_stopped(speech: tuple[npt.NDArray[np.float32], int], tmp_path: Path) -> None:
    wav = write(*speech)
    for code in ("import numpy; numpy.ones(2**30)", "while True: pass", "import os; os.kill(os.getpid(), 11)"):
        script = tmp_path / "audio_decoder.py"
        limits = Path(audio_decoder.__file__).read_text().partition("    try:\n        decoded = decode(sys")[0]
        script.write_text(limits.replace("CPU_SECONDS = 20", "CPU_SECONDS = 1") + f"    {code}\nmain()\n")
        with pytest.raises(InvalidRequest, match="too much time or memory"):
            sandbox.decode(wav, 30, "audio_sample", script)


def test_volume_follows_the_louder_tenth_of_what_is_audible() -> None:
    ramp = np.linspace(0, 0.5, 1001, dtype=np.float32)
    audible = ramp[ramp > 0.01]
    volume = audible[int(0.9 * audible.size) : int(0.99 * audible.size)].mean()
    np.testing.assert_allclose(normalise_volume(ramp), ramp * 0.2 / volume, rtol=1e-5)


def test_volume_of_a_quiet_sample_uses_its_values_before_the_first_scaling() -> None:
    ramp = np.linspace(-0.05, 0.05, 1001, dtype=np.float32)
    magnitudes = np.sort(np.abs(ramp))
    audible = magnitudes[magnitudes > 0.01]
    volume = audible[int(0.9 * audible.size) : int(0.99 * audible.size)].mean()
    expected = ramp * 2 * (0.2 / volume)
    np.testing.assert_allclose(normalise_volume(ramp), expected, rtol=1e-5, atol=1e-7)


def test_volume_is_bounded() -> None:
    peaks = np.zeros(1000, np.float32)
    peaks[:10] = 0.05  # ten audible values do not count
    np.testing.assert_allclose(normalise_volume(peaks)[:10], 0.1, rtol=1e-6)
    np.testing.assert_allclose(normalise_volume(np.full(9, 1e-5, np.float32)), 1e-3, rtol=1e-5)
    click = np.full(1000, 0.02, np.float32)
    click[0] = 0.9
    assert np.abs(normalise_volume(click)).max() == 1  # 9 before the last division
    assert normalise_volume(np.zeros(0, np.float32)).size == 0
