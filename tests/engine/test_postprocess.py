"""Tempo and rate: the length, the pitch, the place of the speech, and independence of the chunks."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidRequest
from engine.postprocess import FADE, PostProcessor, fade
from engine.types import Samples

SPEECH: Samples = np.load(Path(__file__).parent.parent / "golden" / "small.npz")["wav_16k"]


def cut(samples: Samples, size: int) -> list[Samples]:
    return [samples[start : start + size] for start in range(0, samples.size, size)]


def process(chunks: Iterable[Samples], speed: float = 1.0, sample_rate: int = 16_000) -> Samples:
    processor = PostProcessor(speed, sample_rate)
    return np.concatenate([*(processor.push(chunk) for chunk in chunks), processor.flush()])


def loudness(samples: Samples) -> Samples:
    """Return the energy's envelope, over 12.5 ms."""
    return np.sqrt(np.convolve(samples**2, np.full(200, 1 / 200), "same"))


@pytest.mark.parametrize(("speed", "sample_rate"), [(1, 24_000), (0.25, 16_000), (1.5, 48_000), (4, 22_050)])
def test_the_chunks_do_not_matter(speed: float, sample_rate: int) -> None:
    samples = SPEECH[:48_000]
    whole = process([samples], speed, sample_rate)
    empty = samples[:0]
    for chunks in (
        cut(samples, 1),
        cut(samples, 333),
        cut(samples, 4800),
        [empty, samples[:5000], empty, empty, samples[5000:], empty],
    ):
        result = process(chunks, speed, sample_rate)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, whole)


def test_nothing_is_done_where_nothing_is_asked() -> None:
    np.testing.assert_array_equal(process(cut(SPEECH, 1000)), SPEECH)


@pytest.mark.parametrize("sample_rate", [8_000, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("size", [1, 320, 16_001, SPEECH.size])
def test_the_length_at_speed_1_is_that_of_the_rate(sample_rate: int, size: int) -> None:
    assert abs(process([SPEECH[:size]], 1, sample_rate).size - size * sample_rate / 16_000) <= 1


@pytest.mark.parametrize("speed", [0.25, 0.3, 0.5, 0.75, 0.99, 1.01, 1.1, 1.5, 2, 2.01, 3, 4])
@pytest.mark.parametrize("size", [1, 320, 641, 5000, SPEECH.size])
def test_the_length_is_that_of_the_speed(speed: float, size: int) -> None:
    assert process([SPEECH[:size]], speed).size == round(size / speed)
    assert abs(process([SPEECH[:size]], speed, 24_000).size - size / speed * 1.5) <= 2


def test_no_samples_give_no_samples() -> None:
    for speed in (1, 0.25, 4):
        assert process([], speed, 24_000).size == 0
        assert process([SPEECH[:0]], speed, 24_000).size == 0


@pytest.mark.parametrize("speed", [0.25, 0.5, 2, 4])
def test_one_token_of_speech_is_heard(speed: float) -> None:
    token = SPEECH[20_000:20_320]
    assert np.abs(process([token], speed, 24_000)).max() > 0.5 * np.abs(token).max()


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.5, 2, 4])
def test_the_pitch_stays(speed: float) -> None:
    sine = np.sin(2 * np.pi * 440 * np.arange(64_000) / 16_000).astype(np.float32)
    result = process(cut(sine, 3200), speed, 24_000)
    spectrum = np.abs(np.fft.rfft(result * np.hanning(result.size), 240_000))  # bins of 0.1 Hz
    assert np.argmax(spectrum) / 10 == pytest.approx(440, abs=3)
    assert np.abs(result).max() < 1.1


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 24_000, 48_000])
def test_the_rate_changes_nothing_else(sample_rate: int) -> None:
    def sine(rate: int) -> Samples:
        return np.sin(2 * np.pi * 3000 * np.arange(rate) / rate).astype(np.float32)

    result = process(cut(sine(16_000), 320), 1, sample_rate)
    middle = slice(500, -500)
    np.testing.assert_allclose(result[middle], sine(sample_rate)[middle], rtol=0, atol=1e-4)


@pytest.mark.parametrize("speed", [2.5, 3])
def test_no_short_sound_is_skipped(speed: float) -> None:
    for start in range(8000, 11_200, 200):
        samples = np.zeros(16_000, np.float32)
        samples[start : start + 80] = np.hanning(80)  # 5 ms
        assert process([samples], speed).max() > 0.1


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.9, 1.1, 1.5, 2, 3])
def test_speech_is_where_the_tempo_puts_it(speed: float) -> None:
    result = process(cut(SPEECH, 3200), speed)
    times = np.arange(SPEECH.size) / speed
    place = np.interp(times, np.arange(result.size), loudness(result))
    assert np.corrcoef(loudness(SPEECH), place)[0, 1] > 0.85


@pytest.mark.parametrize("speed", [0.25, 1.1, 2, 4])
def test_the_end_of_the_speech_is_kept(speed: float) -> None:
    samples = SPEECH[10_000:30_000]  # ends amid speech
    last = process(cut(samples, 3200), speed)[-round(1600 / speed) :]
    energy = np.sqrt(np.mean(last**2)) / np.sqrt(np.mean(samples[-1600:] ** 2))
    assert energy > 0.5


@pytest.mark.parametrize(("speed", "sample_rate"), [(1, 24_000), (1.5, 24_000), (0.5, 24_000)])
def test_samples_come_while_it_is_fed(speed: float, sample_rate: int) -> None:
    ready = PostProcessor(speed, sample_rate).push(SPEECH[:4800])
    assert ready.size > 0.5 * 4800 / speed * sample_rate / 16_000


@pytest.mark.parametrize("speed", [0, 0.24, 4.01, -1, float("nan"), float("inf")])
def test_other_speeds_are_refused(speed: float) -> None:
    with pytest.raises(InvalidRequest, match=r"0\.25 to 4") as caught:
        PostProcessor(speed, 24_000)
    assert caught.value.param == "speed"


@pytest.mark.parametrize("size", [320, 16_000])
def test_a_fade_begins_and_ends_at_silence_and_leaves_the_rest(size: int) -> None:
    ones = np.ones(size, np.float32)
    both = fade(ones, start=True, end=True)
    assert both.size == size
    assert both[0] == both[-1] < 0.001
    assert np.abs(np.diff(both)).max() < 0.02  # raised cosine: pi / 2 / FADE at its steepest
    np.testing.assert_array_equal(both[FADE:-FADE], ones[FADE:-FADE])
    np.testing.assert_array_equal(both, both[::-1])
    parts = fade(ones[:160], start=True, end=False), fade(ones[160:], start=False, end=True)
    np.testing.assert_array_equal(np.concatenate(parts), both)
    np.testing.assert_array_equal(fade(ones, start=False, end=False), ones)
    assert ones.min() == 1  # the samples that were given are not changed
