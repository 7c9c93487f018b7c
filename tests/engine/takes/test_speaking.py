"""Hundreds of sentences from a model that faults on purpose: what is heard, what is said of it, and the same seed."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faulty import KINDS, FaultyModel, ReadableCodec, Said, TeacherModel, heard_tokens, is_noticed
from engine.config import EngineConfig, ListenerConfig
from engine.errors import EngineClosed
from engine.observer import Observer
from engine.rates import FIRST
from engine.speech import SpeechEngine
from engine.text import speech_weight
from engine.tokens.vocabulary import Vocabulary
from engine.types import OutputGrammar, Prompt, Samples, Sampling, SpeechRequest, SpeechWarning
from engine.voices.database import Database
from tests.waiting import NEVER

SILENT = tuple(range(9))
TEXTS = (
    "The old clock on the wall has stopped again.",
    "How long does the train to London take on a Sunday evening?",
    "The children played in the garden until the evening, and then they went home.",
    "Please open the window, it is very warm in here.",
)


class Teacher(TeacherModel):
    """Says each text with tokens of its own, at 40 a second; no rate is measured while it may not be."""

    def __init__(self, vocabulary: Vocabulary, tokenizer: Path) -> None:
        super().__init__(vocabulary, tokenizer, lambda text: self.answer(text))
        self.answer: Said = lambda text: answer(text, vocabulary.semantic.count)
        self.may_measure = asyncio.Event()
        self.may_measure.set()

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        if due == FIRST and prompt.answer is OutputGrammar.SPEECH:
            await self.may_measure.wait()
        async for ids in super().generate(prompt, sampling, due):
            yield ids


def answer(text: str, tokens: int) -> list[int]:
    numbers = np.random.default_rng(len(text))
    speech = numbers.integers(len(SILENT), tokens, round(40 * speech_weight(text)) + 5).tolist()
    quiet: list[int] = numbers.choice(SILENT, 24).tolist()
    middle = len(speech) // 2
    return [*quiet[:4], *speech[:middle], *quiet[4:14], *speech[middle:], *quiet[14:]]


class Stage:
    def __init__(
        self,
        checkpoint: Path,
        directory: Path,
        rate: float,
        kinds: tuple[str, ...] = KINDS,
        config: EngineConfig | None = None,
    ) -> None:
        tokenizer = checkpoint / "LLM" / "tokenizer.json"
        vocabulary = Vocabulary(tokenizer)
        self.teacher = Teacher(vocabulary, tokenizer)
        self.model = FaultyModel(self.teacher, vocabulary.semantic, SILENT, rate, kinds)
        self.outcomes: Counter[str] = Counter()
        self.engine = SpeechEngine(
            config or EngineConfig(),
            "weights",
            vocabulary,
            self.model,
            ReadableCodec(SILENT),
            Database.in_directory(directory),
            observer=Observer(take=lambda outcome: self.outcomes.update([outcome])),
        )

    async def say(
        self, text: str, seed: int, retakes: int = 2, temperature: float = 0.8, *, verify: bool = False
    ) -> tuple[Samples, list[SpeechWarning]]:
        sampling = Sampling(seed=seed, temperature=temperature)
        request = SpeechRequest(text, "alloy", sample_rate=16_000, sampling=sampling, retakes=retakes, verify=verify)
        chunks = [chunk async for chunk in self.engine.synthesize(request)]
        warnings = [e for chunk in chunks for e in chunk.events if isinstance(e, SpeechWarning)]
        return np.concatenate([chunk.samples for chunk in chunks]), warnings


@pytest.fixture
async def clean(small_checkpoint: Path, tmp_path: Path) -> AsyncGenerator[Stage, None]:
    stage = Stage(small_checkpoint, tmp_path / "voices", 0)
    yield stage
    await stage.engine.close()


@pytest.fixture
async def faulty(clean: Stage, small_checkpoint: Path, tmp_path: Path) -> AsyncGenerator[Stage, None]:
    await clean.say(TEXTS[0], 0)  # the voice is made, and its rate is known
    stage = Stage(small_checkpoint, tmp_path / "voices", 0.1)
    yield stage
    await stage.engine.close()


def noticed(heard: list[Samples], expected: list[Samples]) -> int:
    """Of how many answers a listener notices that they have a fault."""
    return sum(map(is_noticed, map(heard_tokens, heard), map(heard_tokens, expected)))


async def test_hardly_a_fault_is_heard_and_speech_without_one_is_left_alone(clean: Stage, faulty: Stage) -> None:
    expected = [(await clean.say(text, 0))[0] for text in TEXTS]
    answers: list[Samples] = []
    for begin in range(0, 400, 8):  # eight clients at once
        batch = [faulty.say(TEXTS[n % len(TEXTS)], n) for n in range(begin, begin + 8)]
        answers += [samples for samples, _ in await asyncio.gather(*batch)]
    injected = sum(faulty.model.injected.values())
    assert injected > 30
    assert noticed(answers, expected * 100) <= 0.01 * injected
    assert clean.outcomes.keys() == {"passed"}
    assert sum(faulty.outcomes.values()) - faulty.outcomes["passed"] == injected  # each was found, and nothing else


async def test_without_retakes_the_faults_are_heard(clean: Stage, faulty: Stage) -> None:
    expected = [(await clean.say(TEXTS[0], 0))[0]] * 100
    heard = [(await faulty.say(TEXTS[0], seed, retakes=0))[0] for seed in range(100)]
    assert noticed(heard, expected) > 5
    assert not faulty.outcomes


async def test_the_same_seed_gives_the_same_samples_under_any_load(
    clean: Stage, small_checkpoint: Path, tmp_path: Path
) -> None:
    await clean.say(TEXTS[0], 0)
    stage = Stage(small_checkpoint, tmp_path / "voices", 0.4)
    text = " ".join(TEXTS)
    alone = [(await stage.say(text, seed))[0] for seed in range(12)]
    together = await asyncio.gather(*(stage.say(text, seed) for seed in range(12)))
    await stage.engine.close()
    assert sum(stage.outcomes.values()) > stage.outcomes["passed"] > 0
    for one, (other, _) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


async def test_when_all_takes_fail_it_is_said_and_the_rest_of_the_text_goes_on(
    small_checkpoint: Path, tmp_path: Path
) -> None:
    broken = Stage(small_checkpoint, tmp_path, 1, ("nothing",))
    samples, warnings = await broken.say(" ".join(TEXTS), 3)
    await broken.engine.close()
    assert [(warning.sentence, warning.fault) for warning in warnings] == [(n, "nothing") for n in range(4)]
    assert [warning.text for warning in warnings] == list(TEXTS)
    assert [" ".join(TEXTS)[slice(*warning.span)].strip() for warning in warnings] == list(TEXTS)
    assert broken.outcomes == {"nothing": 4 * 3}
    assert len(samples) > 3 * 0.35 * 16_000


@pytest.mark.parametrize(("retakes", "verify"), [(2, False), (2, True), (0, True)])
async def test_of_a_model_that_says_nothing_it_is_said(
    small_checkpoint: Path, tmp_path: Path, retakes: int, verify: bool
) -> None:
    nobody = ListenerConfig(url="http://127.0.0.1:9")
    stage = Stage(small_checkpoint, tmp_path, 0, config=EngineConfig(listener=nobody))
    stage.teacher.answer = lambda text: []
    _, warnings = await stage.say(TEXTS[0], 0, retakes, verify=verify)
    await stage.engine.close()
    assert [warning.fault for warning in warnings] == ["nothing"]
    assert stage.outcomes == {"nothing": retakes + 1}


@pytest.mark.parametrize("temperature", [0.8, 0])
@pytest.mark.parametrize("place", [0, 30])
async def test_no_words_are_lost_where_each_take_is_silent_for_too_long(
    clean: Stage, small_checkpoint: Path, tmp_path: Path, place: int, temperature: float
) -> None:
    """As with a voice that always waits for a second, or at a dash; the silence is shortened."""
    expected, _ = await clean.say(TEXTS[1], 0)
    stage = Stage(small_checkpoint, tmp_path / "voices", 0)
    said = stage.teacher.answer
    silence = np.random.default_rng(0).choice(SILENT, 70).tolist()
    stage.teacher.answer = lambda text: [*said(text)[:place], *silence, *said(text)[place:]]
    heard, warnings = await stage.say(TEXTS[1], 0, temperature=temperature)
    await stage.engine.close()
    assert [(warning.sentence, warning.fault) for warning in warnings] == [(0, "silence")]
    assert stage.outcomes == {"silence": 3 if temperature else 1}
    found = heard_tokens(heard)
    assert not is_noticed([t for t in found if t >= 0], [t for t in heard_tokens(expected) if t >= 0])
    assert len(found) - len(heard_tokens(expected)) == pytest.approx(50 if place else 0, abs=3)


@pytest.mark.parametrize(("tokens", "outcome"), [(45, "passed"), (70, "silence")])
async def test_silence_of_one_token_is_silence_and_no_loop(
    clean: Stage, small_checkpoint: Path, tmp_path: Path, tokens: int, outcome: str
) -> None:
    """The demo's encoder has three tokens for a second of silence."""
    await clean.say(TEXTS[1], 0)
    stage = Stage(small_checkpoint, tmp_path / "voices", 0)
    said = stage.teacher.answer
    stage.teacher.answer = lambda text: [*said(text)[:50], *[SILENT[0]] * tokens, *said(text)[50:]]
    heard, warnings = await stage.say(TEXTS[1], 0, retakes=1)
    await stage.engine.close()
    assert stage.outcomes.keys() == {outcome}
    assert [warning.fault for warning in warnings] == [outcome][: outcome != "passed"]
    spoken = [t for t in heard_tokens(heard) if t >= 0]
    assert not is_noticed(spoken, [t for t in said(TEXTS[1]) if t not in SILENT])


async def test_silence_without_end_is_not_heard(clean: Stage, small_checkpoint: Path, tmp_path: Path) -> None:
    expected = heard_tokens((await clean.say(TEXTS[1], 0))[0])
    stage = Stage(small_checkpoint, tmp_path / "voices", 0)
    said = stage.teacher.answer
    silence = np.random.default_rng(0).choice(SILENT, 3000).tolist()
    stage.teacher.answer = lambda text: [*said(text)[:70], *silence]
    heard, warnings = await stage.say(TEXTS[1], 0)
    await stage.engine.close()
    assert [warning.fault for warning in warnings] == ["silence"]
    assert len(heard_tokens(heard)) <= 70 + 5
    assert not is_noticed(heard_tokens(heard), expected[:70])


async def test_what_a_runaway_said_after_the_end_is_hardly_heard_and_it_is_said(
    clean: Stage, small_checkpoint: Path, tmp_path: Path
) -> None:
    await clean.say(TEXTS[0], 0)
    stage = Stage(small_checkpoint, tmp_path / "voices", 0.5, ("runaway",))
    for seed in range(40):
        text = TEXTS[seed % len(TEXTS)]
        expected, heard = heard_tokens((await clean.say(text, 0))[0]), await stage.say(text, seed)
        tokens = heard_tokens(heard[0])
        assert len(tokens) <= len(expected) + 15  # 0.3 s
        assert heard[1] or not is_noticed(tokens, expected)
    await stage.engine.close()
    assert stage.outcomes["runaway"] > 20


async def test_speech_begins_before_the_rate_of_its_voice_is_measured(small_checkpoint: Path, tmp_path: Path) -> None:
    stage = Stage(small_checkpoint, tmp_path, 0)
    stage.teacher.may_measure.clear()
    chunks = stage.engine.synthesize(SpeechRequest(TEXTS[2], "alloy", sample_rate=16_000, sampling=Sampling(seed=0)))
    begun = [await anext(chunks)]
    stage.teacher.may_measure.set()
    samples = np.concatenate([chunk.samples for chunk in begun + [chunk async for chunk in chunks]])
    again, _ = await stage.say(TEXTS[2], 0)
    await stage.engine.close()
    np.testing.assert_array_equal(samples, again)


async def test_who_waits_for_a_rate_hears_that_the_engine_is_closed(small_checkpoint: Path, tmp_path: Path) -> None:
    stage = Stage(small_checkpoint, tmp_path, 0)
    stage.teacher.may_measure.clear()
    chunks = stage.engine.synthesize(SpeechRequest(TEXTS[2], "alloy"))
    await anext(chunks)
    await stage.engine.close()
    with pytest.raises(EngineClosed):
        async for _ in chunks:
            pass


async def test_who_leaves_during_verification_frees_the_listener(small_checkpoint: Path, tmp_path: Path) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        while await reader.read(65_536):
            pass
        left.set()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        listener = ListenerConfig(url=f"http://127.0.0.1:{port}", seconds=NEVER)
        stage = Stage(small_checkpoint, tmp_path, 0, config=EngineConfig(listener=listener))
        answer = asyncio.create_task(stage.say(TEXTS[0], 0, verify=True))
        await asked.wait()
        answer.cancel()
        await left.wait()
        await asyncio.wait((answer,))
        await stage.engine.close()
    assert answer.cancelled()


async def test_pauses_are_even_and_do_not_depend_on_what_the_model_makes(clean: Stage) -> None:
    samples, _ = await clean.say(" ".join(TEXTS), 0)
    loud = np.flatnonzero(np.abs(samples) > 0.05)
    gaps = np.diff(loud)
    between = np.sort(gaps)[-3:] / 16_000
    assert between == pytest.approx([0.35] * 3, abs=0.012)  # the fades are not counted
