"""The measures tell speech from other speech."""

import ctypes.util

import numpy as np
import pytest

from demo.evaluate import median_pitch, right
from demo.natural import NaturalTeacher
from demo.spectra import Kept
from demo.teacher import Setting, Teacher
from demo.texts import held_out
from demo.voicing import Mouth, tract

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
    readings = [found for text in TEXTS if (found := natural.read(text, spectra=True))]
    assert len(readings) > len(TEXTS) / 2
    kept = Kept.of(readings)
    for kind in ((125.0, False), (200.0, True)):
        mouth = Mouth([kind], "cpu")
        flattened = {read.text: mouth.speak(kept, n, [0])[0].numpy() for n, read in enumerate(readings)}
        assert right(flattened, plain) == 1
        for samples in flattened.values():
            assert median_pitch(samples) == pytest.approx(kind[0], rel=0.01)


def test_a_mans_formants_are_lower() -> None:
    assert tract(100, female=False) < 0.9 < tract(200, female=True)
