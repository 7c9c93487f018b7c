"""Mandarin: pinyin as phonemes, texts for training, and the teacher's speech at one pitch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from demo import mandarin_texts, tokens
from demo.hearing import error_rate
from demo.mandarin import RATE, STEP, VOICES, MandarinTeacher, sounds, world
from demo.mandarin_texts import MandarinTexts, listened
from demo.natural import Reading
from demo.spectra import Kept
from demo.voicing import EARLY, Mouth
from engine.text.normalise import normalise
from engine.text.pinyin import spelled
from engine.types import CODEC_SAMPLE_RATE


@pytest.mark.parametrize(
    ("syllable", "named", "read"),
    [
        ("hao3", ["zh x", "zh au"], "xau↓"),
        ("xue2", ["zh ɕ", "zh ɥ", "zh e"], "ɕɥe↗"),
        ("zhi1", ["zh ꭧ", "zh ɨ"], "ꭧɨ→"),
        ("liu4", ["l", "j", "zh ou"], "ljou↘"),
        ("nv3", ["n", "zh y"], "ny↓"),
        ("ma5", ["m", "zh a"], "ma"),
        ("wang4", ["w", "zh a", "N"], "wa↘ŋ"),
    ],
)
def test_pinyin_is_phonemes(syllable: str, named: list[str], read: str) -> None:
    found = sounds(syllable)
    assert [name for name, _ in found] == named
    assert "".join(written for _, written in found) == read


def test_every_sound_is_a_token_and_every_sentence_of_the_evaluation_can_be_said() -> None:
    assert len(listened()) == 100
    said = {
        tokens.index(name)
        for text in listened()
        for syllable in spelled(normalise(text)).rstrip(".?").replace(",", "").split()
        for name, _ in sounds(syllable)
    }
    assert len(said) > 35
    with pytest.raises(KeyError):
        sounds("hello5")


def test_texts_are_words_of_pinyin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mandarin_texts, "COMMON", 300)
    mandarin_texts.words.cache_clear()
    texts = MandarinTexts(np.random.default_rng(0))
    drawn = [texts.draw() for _ in range(200)]
    mandarin_texts.words.cache_clear()
    assert len(set(drawn)) > 150
    assert all(text[-1] in ".?!" for text in drawn)
    assert any("-" in text for text in drawn)
    assert any("," in text for text in drawn)


def test_spectra_are_as_loud_as_what_they_were_made_of() -> None:
    """A second of pulses, then one of noise, through WORLD, and spoken at the pulses' pitch."""
    wave = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
    wave[:RATE] = 0
    wave[: RATE : RATE // 200] = 0.5
    pitch = np.repeat([200.0, 0.0], int(1 / STEP)).astype(np.float32)
    spectra = world(wave.astype(np.float32), pitch)
    read = Reading("", np.zeros(100, np.int64), np.zeros(100, np.int16), EARLY, spectra)
    said = Mouth([(200.0, True)], "cpu").speak(Kept.of([read]), 0, [0])[0].numpy()

    def louder(samples: npt.NDArray[np.floating[Any]], rate: int) -> float:
        """How much louder the pulses are than the noise."""
        quarter = rate // 4
        pulses, noise = (samples[first + quarter : first + 3 * quarter] for first in (0, rate))
        return float(np.sqrt(np.square(pulses).mean() / np.square(noise).mean()))

    assert louder(said, CODEC_SAMPLE_RATE) == pytest.approx(louder(wave, RATE), rel=0.25)


def test_syllables_are_compared_without_tones() -> None:
    assert error_rate(["他们在这里。"], ["她門在這裏"]) == 0
    assert error_rate(["你好。"], ["你号"]) == 0
    assert error_rate(["今天好。"], ["明天好"]) == pytest.approx(1 / 3)


def test_the_teacher_says_when_it_says_which_syllable() -> None:
    try:
        teacher = MandarinTeacher()
    except RuntimeError:
        pytest.skip(f"Kokoro is not installed, with its voices in {VOICES}")
    read = teacher.read("ni3-hao3, wo3 qu4 Bei3-jing1.".lower(), spectra=True)
    assert read is not None
    assert read.text == "ni3 hao3, wo3 qu4 bei3 jing1."
    said = [
        (tokens.PHONEMES[tokens.FACTORS[token][0]], read.text[place])
        for token, place in zip(read.tokens, read.characters, strict=True)
    ]
    for phoneme, letters in (("zh au", "hao3,"), ("zh ʨʰ", " qu"), ("zh p", " bei"), ("w", " wo")):
        places = {letter for name, letter in said if name == phoneme}
        assert places, phoneme
        assert places <= set(letters), phoneme
    said_flat = Mouth([(100.0, False)], "cpu").speak(Kept.of([read]), 0, [0])
    assert said_flat.shape == (1, 320 * len(read.tokens))
    assert teacher.read("hello5.") is None


def test_flat_speech_needs_spectra() -> None:
    read = Reading("ni3.", np.zeros(4, np.int64), np.zeros(4, np.int16), 0)
    with pytest.raises(ValueError, match="spectra"):
        Kept.of([read])
