"""The measures tell speech from other speech."""

import ctypes.util

import numpy as np
import pytest

from demo.evaluate import median_pitch, right
from demo.flat_speech import PAIR, speak, tract
from demo.natural import NaturalTeacher, Spectra
from demo.teacher import Setting, Teacher
from demo.texts import held_out

pytestmark = pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None, reason="the teacher is not installed: apt install libespeak-ng1"
)
TEXTS = held_out()[:12]


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher()  # the library has one state a process


def test_a_sentence_is_told_from_others_in_any_voice(teacher: Teacher) -> None:
    plain = {text: teacher.speak(text).samples for text in TEXTS}
    other = {text: teacher.speak(text, Setting("f2")).samples for text in TEXTS}
    assert right(other, plain) == 1
    shuffled = dict(zip(TEXTS, [*list(other.values())[1:], other[TEXTS[0]]], strict=True))
    assert right(shuffled, plain) == 0
    hissing = np.random.default_rng(0)
    assert right({text: hissing.uniform(-0.1, 0.1, 32_000).astype(np.float32) for text in TEXTS}, plain) < 0.4


def test_flat_speech_is_the_same_speech_at_one_pitch(teacher: Teacher) -> None:
    natural = NaturalTeacher()
    plain = {text: natural.speak(text) for text in TEXTS}
    for pitch, female in ((125.0, False), (200.0, True)):
        read = {text: natural.read(text, spectra=True) for text in TEXTS}
        flattened = {
            text: speak(found.spectra, pitch, female) for text, found in read.items() if found and found.spectra
        }
        assert len(flattened) > len(TEXTS) / 2
        assert right(flattened, plain) == 1
        for samples in flattened.values():
            assert median_pitch(samples) == pytest.approx(pitch, rel=0.01)


def test_the_same_sound_has_the_same_waveform_in_each_pair_of_frames() -> None:
    steps = np.ones((601, 200), np.float32)
    vowel = speak(Spectra(steps, steps * 0.1, np.full(200, 190, np.float32)), 100, female=False)
    middle = vowel[len(vowel) // 2 // PAIR * PAIR :][: 2 * PAIR]
    assert np.corrcoef(middle[:PAIR], middle[PAIR:])[0, 1] > 0.99


def test_a_mans_formants_are_lower() -> None:
    assert tract(100, female=False) < 0.9 < tract(200, female=True)
