"""The measures tell speech from other speech."""

import ctypes.util

import numpy as np
import pytest

from demo.evaluate import median_pitch, right
from demo.flatten_pitch import PAIR, flat
from demo.teacher import Setting, Teacher
from demo.texts import held_out
from demo.tokens import padded
from engine.types import CODEC_SAMPLE_RATE

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
    plain = {text: padded(teacher.speak(text)) for text in TEXTS}
    flattened = {
        text: flat((samples * 32_767).astype(np.int16), 125).astype(np.float32) / 32_767
        for text, samples in plain.items()
    }
    assert right(flattened, plain) == 1
    for samples in flattened.values():
        assert median_pitch(samples) == pytest.approx(125, rel=0.01)
    vowel = flat((np.sin(np.arange(3 * CODEC_SAMPLE_RATE) * 0.05) * 9000).astype(np.int16), 100)
    middle = vowel[len(vowel) // 2 // PAIR * PAIR :][: 2 * PAIR].astype(float)
    assert np.corrcoef(middle[:PAIR], middle[PAIR:])[0, 1] > 0.99
