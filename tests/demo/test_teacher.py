"""What the demo voice learns from: the teacher's speech, named frame by frame, and sentences without those held out."""

import ctypes.util

import numpy as np
import pytest

from demo import tokens
from demo.natural import NaturalTeacher
from demo.teacher import Setting, Teacher
from demo.texts import PROSE, Texts, held_out, listened, phrases, simplified

needs_espeak = pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None, reason="the teacher is not installed: apt install libespeak-ng1"
)
needs_prose = pytest.mark.skipif(not PROSE.is_dir(), reason="there is no prose: apt install fortunes")
TEXT = "The old clock on the wall has stopped again."


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher()  # the library has one state a process


@needs_espeak
def test_every_voice_says_the_same_phonemes(teacher: Teacher) -> None:
    plain = [name for name, _ in teacher.speak(TEXT).phonemes]
    assert plain[:5] == ["D", "I2", ";", "oU", "l"]
    for variant in ("f2", "m3"):
        assert [name for name, _ in teacher.speak(TEXT, Setting(variant, pitch=80)).phonemes] == plain


@needs_espeak
def test_each_frame_is_named_for_the_phoneme_in_its_middle(teacher: Teacher) -> None:
    heard = teacher.speak(TEXT)
    frames = len(tokens.padded(heard)) // 320
    found = tokens.tokens(tokens.phonemes(heard), frames)
    names = tokens.PHONEMES
    for frame in range(tokens.LEAD, frames - tokens.TAIL):
        middle = (frame - tokens.LEAD + 0.5) / 50
        said = [name for name, begin in heard.phonemes if begin <= middle]
        assert names[tokens.FACTORS[found[frame]][0]] == ("_" if not said or said[-1] == "_:" else said[-1])
    assert {tokens.FACTORS[token][2] for token in found.tolist()} == {0, 1}


@needs_espeak
def test_a_faster_voice_has_fewer_frames_and_a_higher_one_a_higher_pitch(teacher: Teacher) -> None:
    slow, fast = (teacher.speak(TEXT, Setting(rate=rate)) for rate in (115, 250))
    assert len(slow.samples) > 1.5 * len(fast.samples)
    low, high = (tokens.frequencies(tokens.padded(teacher.speak(TEXT, Setting(pitch=pitch)))) for pitch in (20, 80))
    assert np.median(low[low > 0]) < 0.8 * np.median(high[high > 0])


@needs_prose
def test_training_never_sees_what_is_held_out() -> None:
    texts = Texts(np.random.default_rng(0))
    drawn = {simplified(texts.draw()) for _ in range(2000)}
    assert len(drawn) > 1500
    assert not drawn & {simplified(text) for text in held_out() + phrases() + listened()}


def test_tokens_without_phase_are_those_that_a_sample_gives() -> None:
    known = np.arange(tokens.CODES)
    assert {tokens.FACTORS[token][2] for token in tokens.unknown_phase(known).tolist()} == {tokens.UNKNOWN}


def test_the_natural_teacher_tells_when_it_says_which_letter() -> None:
    read = NaturalTeacher().read("Fish swim, and dogs bark.")
    assert read is not None
    names = tokens.PHONEMES
    said = [
        (names[tokens.FACTORS[token][0]], read.text[place])
        for token, place in zip(read.tokens, read.characters, strict=True)
    ]
    for phoneme, letters in (("S", "ish"), ("w", "sw"), ("g", "gs"), ("b", "b"), ("A@", "bark")):
        places = {letter for name, letter in said if name == phoneme}
        assert places, phoneme
        assert places <= set(letters + " "), phoneme
    assert {name for name, letter in said if letter == ","} & {"_", "m"}
    assert said[0][0] == "_"
    assert [name for name, _ in said[-tokens.TAIL :]] == ["_"] * tokens.TAIL


def test_a_faster_natural_teacher_has_fewer_tokens() -> None:
    teacher = NaturalTeacher()
    slow, fast = teacher.read(TEXT, 0.7), teacher.read(TEXT, 1.4)
    assert slow is not None
    assert fast is not None
    assert len(slow.tokens) > 1.4 * len(fast.tokens)


def test_the_natural_teacher_refuses_what_it_cannot_place() -> None:
    assert NaturalTeacher().read("It costs $3.50 at 9:30") is None
