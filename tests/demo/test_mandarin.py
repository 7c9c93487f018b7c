"""Mandarin: pinyin as phonemes, texts for training, and the teacher's speech at one pitch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from demo import flat_speech, grow, mandarin_texts, tokens
from demo.hearing import error_rate
from demo.mandarin import RATE, STEP, VOICES, MandarinTeacher, sounds, world
from demo.mandarin_texts import MandarinTexts, listened
from demo.natural import Reading
from engine.text.normalise import normalise
from engine.text.pinyin import spelled


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
    """Noise and pulses through WORLD, and spoken at their own pitch again."""
    seconds, random = 2, np.random.default_rng(0)
    noise = 0.1 * random.standard_normal(seconds * RATE)
    pulses = np.zeros(seconds * RATE)
    pulses[:: RATE // 200] = 0.5
    steps = int(seconds / STEP)
    for wave, pitch in ((noise, 0.0), (pulses, 200.0)):
        spectra = world(wave.astype(np.float32), np.full(steps, pitch, np.float32))
        said = flat_speech.speak(spectra, 200.0, female=True)
        # 16 kHz hold two thirds of the power of all frequencies.
        expected = np.sqrt(np.square(wave).mean() * 2 / 3)
        assert np.sqrt(np.square(said[8000:-8000]).mean()) == pytest.approx(expected, rel=0.25)


def test_new_sounds_begin_like_english_ones() -> None:
    rows = torch.randn(grow.KNOWN, 9, 16)
    grown = grow.grown(rows)
    assert len(grown) == len(tokens.PHONEMES) == len(grow.LIKE) + grow.KNOWN
    torch.testing.assert_close(grown[: grow.KNOWN], rows)
    aspirated, like = grown[tokens.index("zh tʰ")].flatten(), rows[tokens.index("t")].flatten()
    assert torch.cosine_similarity(aspirated, like, dim=0) > 0.5


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
    assert len(flat_speech.aligned(read, 100.0, female=False)) == 320 * len(read.tokens)
    assert teacher.read("hello5.") is None


def test_flat_speech_needs_spectra() -> None:
    read = Reading("ni3.", np.zeros(4, np.int64), np.zeros(4, np.int16), 0)
    with pytest.raises(ValueError, match="spectra"):
        flat_speech.aligned(read, 100.0, female=True)
