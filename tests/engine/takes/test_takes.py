"""What is found in tokens and samples: loops, silence, length, words; and what is trimmed."""

import numpy as np
import pytest

from engine.takes.faults import Fault
from engine.takes.length import Lengths
from engine.takes.loops import Loops
from engine.takes.sound import Sound
from engine.takes.take import Take
from engine.takes.trimming import LEAD, TAIL, Trimmer
from engine.takes.words import error_rate
from engine.types import SAMPLES_PER_TOKEN, Samples

TEXT = "The children played in the garden until the evening."  # 3.5 estimated seconds
LENGTHS = Lengths.of(TEXT, rate=1)
random = np.random.default_rng(1)


def different(count: int) -> list[int]:
    """Tokens as speech has them."""
    return random.integers(0, 8192, count).tolist()


def sound(*frames: tuple[int, float]) -> Samples:
    """Noise: numbers of frames, each with its level."""
    parts = [random.choice((-level, level), count * SAMPLES_PER_TOKEN) for count, level in frames]
    return np.concatenate([np.zeros(0), *parts]).astype(np.float32)


def found(tokens: list[int], said: int = 1) -> tuple[int, int] | None:
    """After how many tokens a loop is found, and how many are before its second turn."""
    loops = Loops(said)
    for count, token in enumerate(tokens, 1):
        if (start := loops.push(token)) is not None:
            return count, start
    return None


def test_a_held_token_is_found_after_600_ms() -> None:
    assert found([*different(40), *[7] * 100]) == (70, 41)


@pytest.mark.parametrize("period", [2, 7, 40, 120, 200])
def test_a_phrase_is_found_when_it_is_said_for_the_third_time(period: int) -> None:
    before, phrase = different(30), different(period)
    found_at = found(before + phrase * 20)
    assert found_at == (30 + max(3 * period, 30), 30 + period)


def test_a_loop_is_found_although_a_token_of_it_differs() -> None:
    tokens = different(60) * 4
    tokens[90] = 8191
    assert found(tokens) is not None


def test_speech_that_repeats_a_word_is_no_loop() -> None:
    word = different(20)
    assert found([*different(50), *word, *word, *different(100), *[5] * 25, *different(40), *word]) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The committee in Mississippi agreed, no, no.", 1),
        ("No, no, no, no, no!", 5),
        ("It is very, very, very, very good.", 4),
        ("Ha ha ha ha ha ha!", 6),
        ("Hahaha!", 3),
        ("Noooooo!", 6),
        ("tick tock, tick tock, tick tock", 3),
        ("好好好，我知道了。", 3),
        ("研究研究研究研究。", 4),
        ("one one one one", 4),
        ("A", 1),
    ],
)
def test_the_text_says_how_often_it_repeats_itself(text: str, said: int) -> None:
    assert Lengths.of(text).said == said


@pytest.mark.parametrize(("period", "said"), [(1, 12), (4, 8), (22, 7), (30, 3), (150, 3)])
def test_what_the_text_repeats_is_a_loop_only_if_it_is_said_more_often(period: int, said: int) -> None:
    before, phrase = different(30), different(period)
    assert found([*before, *phrase * said, *different(60)], said) is None
    assert found([*before, *phrase * (said + 1), *different(60)], said) is None
    found_at = found([*before, *phrase * max(3 * said, 150 // period)], said)
    assert found_at is not None
    assert found_at[1] == 30 + period * said


def test_what_the_text_repeats_is_heard_as_it_comes() -> None:
    take = Take(Lengths.of("It is very, very, very, very, very, very, very good."))
    for token in [*different(10), *different(14) * 7]:
        take.push(token)
        assert take.is_sure(1)


@pytest.mark.parametrize(
    ("text", "tokens"),  # as the demo model says them
    [
        ("Hi. I. Go. No. Yes.", 135),
        ("Yes. No. Yes. No.", 114),
        ("Hm... well... I... I don't know...", 187),
        ("Wait... what? ... ... Really?", 126),
        ("Oh. No. A. B. C. D. E. F.", 157),
        ("A, B, C, D, E, F, G.", 131),
    ],
)
def test_a_text_of_many_pauses_may_take_longer(text: str, tokens: int) -> None:
    assert heard((tokens, 0.3), lengths=Lengths.of(text, rate=0.8)).fault is None


def test_what_may_become_a_loop_is_not_heard_before_it_is_certain() -> None:
    take = Take(LENGTHS)
    for token in [*different(30), *[9] * 14]:
        take.push(token)
    assert not take.is_sure(16)
    for token in different(12):
        take.push(token)
    assert take.is_sure(16)


def test_a_loop_ends_a_take_before_its_second_turn() -> None:
    take = Take(LENGTHS)
    for token in different(20) + different(30) * 4:
        take.push(token)
    assert (take.fault, take.good) == (Fault.LOOP, 50)


def heard(*frames: tuple[int, float], lengths: Lengths | None = LENGTHS) -> Take:
    take = Take(lengths)
    for token in different(sum(count for count, _ in frames)):
        take.push(token)
    take.hear(sound(*frames), last=True)
    take.end(bounded=False)
    return take


@pytest.mark.parametrize("loud", [0.3, 0.02])
@pytest.mark.parametrize(
    ("frames", "fault", "good"),
    [
        (((34, 0), (170, 1)), None, 0),
        (((36, 0), (170, 1)), Fault.SILENCE, 0),
        (((90, 1), (48, 0), (90, 1)), None, 0),
        (((90, 1), (52, 0.001), (90, 1)), Fault.SILENCE, 90),
        (((175, 1), (80, 0)), None, 0),  # it is trimmed
        (((40, 1), (20, 0)), Fault.NOTHING, 40),
        (((90, 1), (10, 0)), None, 0),
        (((70, 1), (10, 0)), Fault.LENGTH, 70),
        (((0, 1), (175, 0)), Fault.NOTHING, 0),
        ((), Fault.NOTHING, 0),
    ],
)
def test_silence_and_length_by_the_voices_own_loudness(
    frames: tuple[tuple[int, float], ...], fault: Fault | None, good: int, loud: float
) -> None:
    take = heard(*((count, level * loud) for count, level in frames))
    assert (take.fault, take.good) == (fault, good)


def test_a_voices_own_rate_narrows_what_is_normal() -> None:
    frames = (LENGTHS.expected * 5 // 10, 0.3)
    assert heard(frames, lengths=Lengths.of(TEXT)).fault is None
    assert heard(frames, lengths=Lengths.of(TEXT, rate=1.3)).fault is Fault.LENGTH


def test_a_take_that_goes_on_after_another_may_not_lose_the_end() -> None:
    frames = sound((LENGTHS.complete - 5, 0.3))
    tokens = different(LENGTHS.complete - 5)
    faults = []
    for kept in (0, 50):
        take = Take(LENGTHS, tokens[:kept])
        for token in tokens[kept:]:
            take.push(token)
        take.hear(frames, last=True)
        take.end(bounded=False)
        faults.append(take.fault)
    assert faults == [None, Fault.LENGTH]


def test_a_runaway_is_stopped_before_the_models_bound() -> None:
    take = Take(LENGTHS)
    while not take.fault:
        take.push(int(random.integers(8192)))
    assert take.fault is Fault.RUNAWAY
    assert len(take.tokens) < 2.2 * LENGTHS.expected


def test_of_failed_takes_the_one_nearest_to_the_expected_length_is_best() -> None:
    long, short = Take(LENGTHS), Take(LENGTHS)
    long.fail(Fault.LOOP, 150)
    short.fail(Fault.LOOP, 40)
    misheard = Take(LENGTHS)
    misheard.errors = 0.4
    misheard.fail(Fault.WORDS, 170)
    assert misheard.badness < long.badness < short.badness


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_sentence_is_trimmed_to_even_pauses_however_it_is_cut(size: int) -> None:
    samples = sound((12, 0.0001), (30, 0.2), (20, 0.0001), (40, 0.2), (15, 0.0001))
    flags = Sound()
    flags.push(samples)
    trimmer = Trimmer(0.5, first=False)
    frames = samples.reshape(-1, SAMPLES_PER_TOKEN)
    parts = [
        trimmer.push(frames[n : n + size].reshape(-1), flags.frames[n : n + size]) for n in range(0, len(frames), size)
    ]
    parts.append(trimmer.end())
    out = np.concatenate(parts)
    assert len(out) == (LEAD + 30 + 20 + 40 - LEAD) * SAMPLES_PER_TOKEN + 8000  # from the last sound to the next first
    loud = np.flatnonzero(np.abs(out) > 0.1)
    assert loud[0] == LEAD * SAMPLES_PER_TOKEN
    assert len(out) - loud[-1] - 1 == 8000 - LEAD * SAMPLES_PER_TOKEN


def test_the_last_sentence_ends_shortly_after_its_last_sound() -> None:
    samples = sound((2, 0.0), (30, 0.2), (30, 0.0))
    trimmer = Trimmer(0, first=True)
    out = np.concatenate((trimmer.push(samples, [False] * 2 + [True] * 30 + [False] * 30), trimmer.end()))
    assert len(out) == (2 + 30 + TAIL) * SAMPLES_PER_TOKEN


@pytest.mark.parametrize(
    ("language", "said", "understood", "rate"),
    [
        ("en", "It costs three dollars.", "it costs $3", 0),
        ("en", "I have five apples.", "I have 5 apples.", 0),
        ("en", "In nineteen eighty-four it was minus five degrees.", "In 1984, it was -5 degrees", 0),
        ("en", "Room one zero one is free.", "Room 101 is free.", 0),
        ("en", "It isn't here.", "It isn’t here!", 0),
        ("en", "Mr. Smith met Doctor Jones (a friend).", "Mister Smith met Dr. Jones, a friend", 0),
        ("en", "It leaves the USA at three PM.", "it leaves the U.S.A. at 3 p.m.", 0),
        ("en", "The well-known café.", "[Music] the well known cafe", 0),
        ("en", "We saw four big dogs.", "We saw big dogs.", 0.2),
        ("en", "Hello.", "Hello. Hello. Hello.", 2),
        ("en", "Hello.", "[BLANK_AUDIO]", 1),
        ("en", "Hello.", "", 1),
        ("zh", "今天天气很好。", "今天天气真好", 1 / 6),
        ("zh", "今天天气很好。", "今天天氣，很好！", 0),
        ("zh", "今天是五月六日。", "今天是5月6日。", 0),
        ("zh", "二〇二四年涨了百分之五。", "2024年漲了5%", 0),
        ("zh", "我用iPhone手机。", "我用 iphone 手機", 0),
        ("de", "Wir haben fünf Äpfel.", "wir haben 5 Äpfel", 0),
    ],
)
def test_words_are_compared_as_they_are_spoken(language: str, said: str, understood: str, rate: float) -> None:
    assert error_rate(said, understood, language) == pytest.approx(rate)
