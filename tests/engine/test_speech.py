"""The engine's contract, on fakes: order, batches, seeds, closing, and errors that reach their caller."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.config import EngineConfig
from engine.errors import BackendFailed, InvalidRequest, NothingToSay, UnknownVoice
from engine.llm.remote.slots import PrioritySlots
from engine.observer import Observer
from engine.postprocess import FADE
from engine.speech import SpeechEngine
from engine.tokens.vocabulary import Vocabulary
from engine.types import AudioChunk, OutputGrammar, Passage, Prompt, Samples, Sampling, SpeechRequest
from tests.engine.fakes import FakeCodec, FakeLanguageModel, fake_engine
from tests.waiting import until

TEXT = "The first sentence is here. The second one is a little longer than that. And a third, to end with."
REQUEST = SpeechRequest(TEXT, "alloy", sample_rate=16_000, max_tokens=10, sampling=Sampling(seed=1))


class Parts:
    def __init__(self, vocabulary: Vocabulary, directory: Path) -> None:
        self.language_model = FakeLanguageModel(vocabulary)
        self.codec = FakeCodec()
        self.engine: SpeechEngine = fake_engine(
            vocabulary,
            directory,
            language_model=self.language_model,
            codec=self.codec,
            config=EngineConfig(sentences_ahead=2),
        )


@pytest.fixture
async def parts(vocabulary: Vocabulary, tmp_path: Path) -> AsyncGenerator[Parts, None]:
    parts = Parts(vocabulary, tmp_path)
    yield parts
    parts.codec.gate.set()
    await parts.engine.close()


async def collect(engine: SpeechEngine, request: SpeechRequest) -> list[AudioChunk]:
    """The chunks with samples; the last one may have none."""
    return [chunk async for chunk in engine.synthesize(request) if chunk.samples.size]


def samples(chunks: list[AudioChunk]) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks])


async def test_sentences_come_in_order_in_one_voice(parts: Parts) -> None:
    heard = samples(await collect(parts.engine, REQUEST)).reshape(3, 10 * 320)[:, FADE:-FADE]
    spoken = [prompt for prompt in parts.language_model.prompts if prompt.answer is OutputGrammar.SPEECH]
    assert len(spoken) == 3
    for sentence, prompt in zip(heard, spoken, strict=True):
        np.testing.assert_allclose(sentence, len(prompt.ids) % 512 / 1000 + 1 / 100_000, atol=1e-6)


async def test_sentences_are_generated_side_by_side_but_not_all_at_once(parts: Parts) -> None:
    await collect(parts.engine, replace(REQUEST, text=TEXT * 3))
    assert parts.language_model.most_running == 2


class SlottedModel(FakeLanguageModel):
    """As many sentences at once as a real model has slots; who has one keeps it to the end."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(vocabulary)
        self.slots = PrioritySlots(EngineConfig().max_running)

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        async with self.slots.take(due), aclosing(super().generate(prompt, sampling, due)) as answer:
            async for ids in answer:
                yield ids


async def test_long_texts_leave_a_slot_to_whoever_has_heard_nothing_yet(vocabulary: Vocabulary, tmp_path: Path) -> None:
    model = SlottedModel(vocabulary)
    engine = fake_engine(vocabulary, tmp_path, language_model=model)
    await collect(engine, REQUEST)  # the voice is made
    model.pause_after = 1  # no sentence of the long texts ends
    long = replace(
        REQUEST, text="This is a sentence that takes quite a while to say, and its end is not yet near. " * 9
    )
    tasks = [asyncio.create_task(collect(engine, long)) for _ in range(3)]
    await until(lambda: model.running == EngineConfig().max_running - 1)
    model.pause_after = None
    async with asyncio.timeout(120):
        assert await collect(engine, REQUEST)
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await engine.close()


async def test_usage_counts_prompts_and_tokens(parts: Parts) -> None:
    chunks = await collect(parts.engine, REQUEST)
    spoken = [len(prompt.ids) for prompt in parts.language_model.prompts if prompt.answer is OutputGrammar.SPEECH]
    assert chunks[-1].usage.input_tokens == sum(spoken)
    assert chunks[-1].usage.output_tokens == 30


async def test_a_sentence_is_bounded_by_its_length(parts: Parts) -> None:
    await collect(parts.engine, replace(REQUEST, text="Hi.", max_tokens=None))
    await collect(parts.engine, replace(REQUEST, text=TEXT.replace(".", ""), max_tokens=None))
    short, long = (s.max_tokens for s in parts.language_model.samplings[1:])
    assert 50 < short < 100
    assert 500 < long < 1500


async def test_the_same_seed_gives_each_sentence_the_same_random_numbers(parts: Parts) -> None:
    for seed in (1, 1, 2, None, None):
        await collect(parts.engine, replace(REQUEST, sampling=Sampling(seed=seed)))
    seeds = [sampling.seed for sampling in parts.language_model.samplings[1:]]
    one, again, two, fresh, fresher = (seeds[n : n + 3] for n in range(0, 15, 3))
    assert one == again
    assert len({*one, *two, *fresh, *fresher}) == 12


async def test_rate_and_speed_change_the_length(parts: Parts) -> None:
    for rate, speed in ((24_000, 1.0), (48_000, 2.0), (8_000, 0.25)):
        heard = samples(await collect(parts.engine, replace(REQUEST, sample_rate=rate, speed=speed)))
        assert len(heard) == pytest.approx(30 * 320 * rate / 16_000 / speed, abs=2)


@pytest.mark.parametrize("text", ["   ", "...!?", "🎉🎉", "\n\t", "，。！"])
async def test_text_with_nothing_to_say_is_refused(parts: Parts, text: str) -> None:
    with pytest.raises(NothingToSay, match="nothing to say") as caught:
        await collect(parts.engine, replace(REQUEST, text=text))
    assert caught.value.param == "input"


async def test_an_unknown_voice_is_refused(parts: Parts) -> None:
    with pytest.raises(UnknownVoice, match="'nobody'"):
        await collect(parts.engine, replace(REQUEST, voice="nobody"))


async def test_closing_frees_what_the_request_holds(parts: Parts) -> None:
    await collect(parts.engine, REQUEST)  # the voice is made
    parts.language_model.gate.clear()
    chunks = parts.engine.synthesize(REQUEST)
    waiting = asyncio.ensure_future(anext(chunks))
    await until(lambda: parts.language_model.running == 2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await chunks.aclose()
    assert parts.language_model.running == 0


async def test_closing_between_chunks_frees_what_is_ahead(parts: Parts) -> None:
    async with aclosing(parts.engine.synthesize(replace(REQUEST, text=TEXT * 3))) as chunks:
        await anext(chunks)
        parts.language_model.gate.clear()
    assert parts.language_model.running == 0


async def test_a_failing_language_model_reaches_its_caller_and_no_one_else(parts: Parts) -> None:
    await collect(parts.engine, REQUEST)
    parts.language_model.fail_at = len(parts.language_model.prompts) + 2
    failed, fine = await asyncio.gather(
        collect(parts.engine, REQUEST),
        collect(parts.engine, replace(REQUEST, text="One sentence only.")),
        return_exceptions=True,
    )
    assert isinstance(failed, BackendFailed)
    assert isinstance(fine, list)
    assert len(await collect(parts.engine, REQUEST)) == 3


async def test_a_failing_codec_reaches_its_caller_and_the_engine_goes_on(parts: Parts) -> None:
    parts.codec.fail = True
    with pytest.raises(BackendFailed, match="the device is gone"):
        await collect(parts.engine, REQUEST)
    parts.codec.fail = False
    assert len(await collect(parts.engine, REQUEST)) == 3


async def test_windows_are_the_whole_sentence(parts: Parts) -> None:
    long = replace(REQUEST, text="A sentence that is long enough for several windows of speech to be made of it.")
    chunks = await collect(parts.engine, replace(long, max_tokens=200))
    assert [len(chunk.samples) // 320 for chunk in chunks] == [16, 28, 49, 107]
    assert [chunk.usage.output_tokens for chunk in chunks] == [16, 44, 93, 200]


class ToneCodec(FakeCodec):
    """Tokens sound as 200 Hz, with a phase of their own: a sentence has no step, but starts and ends amid a wave."""

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        time = np.arange(320) / 16_000
        return [
            np.concatenate([0.5 * np.cos(2 * np.pi * 200 * time + token) for token in item.semantic[item.kept]]).astype(
                np.float32
            )
            for item in items
        ]


@pytest.mark.parametrize("max_tokens", [1, 10, 24, 60])
async def test_sentences_begin_end_and_are_joined_without_a_click(
    vocabulary: Vocabulary, tmp_path: Path, max_tokens: int
) -> None:
    engine = fake_engine(vocabulary, tmp_path, codec=ToneCodec())
    heard = samples(await collect(engine, replace(REQUEST, max_tokens=max_tokens)))
    await engine.close()
    assert len(heard) == 3 * max_tokens * 320
    step_of_the_tone = 0.5 * 2 * np.pi * 200 / 16_000
    assert np.abs(np.diff(heard, prepend=0, append=0)).max() < step_of_the_tone * 1.01
    sentences = heard.reshape(3, -1)[:, FADE:-FADE]
    assert np.abs(sentences[:, :80]).max(axis=1) == pytest.approx(0.5, abs=0.01)  # from the start to
    assert np.abs(sentences[:, -80:]).max(axis=1) == pytest.approx(0.5, abs=0.01)  # the end at its own loudness


async def test_later_sentences_are_due_later(parts: Parts) -> None:
    await collect(parts.engine, REQUEST)
    _, first, second, third = parts.language_model.dues
    assert 0.5 < second - first < 5
    assert 0.5 < third - second < 5


async def test_an_observer_hears_how_many_windows_are_decoded_together(vocabulary: Vocabulary, tmp_path: Path) -> None:
    batches: list[int] = []
    codec = FakeCodec()
    engine = fake_engine(vocabulary, tmp_path, codec=codec, observer=Observer(batch=batches.append))
    await engine.warm_up()  # encodes as well, which counts for nothing here
    await collect(engine, REQUEST)
    await engine.close()
    assert sum(batches) == codec.decoded == 1 + 3


async def test_warming_up_speaks_and_listens(parts: Parts) -> None:
    await parts.engine.warm_up()
    assert parts.codec.decoded == 1
    assert parts.codec.encoded == 1


def prompt_lengths(model: FakeLanguageModel) -> list[int]:
    return [len(prompt.ids) for prompt in model.prompts if prompt.answer is OutputGrammar.SPEECH]


@pytest.mark.parametrize(
    "text",
    [
        "e" + "\u0301" * 4000,  # one letter, 8000 tokens
        "𠮷" * 400,
        "A sentence that is said in a few seconds, and yet is too long, with its answer, for a very small context.",
    ],
)
async def test_a_sentence_has_room_in_the_context_with_its_answer(parts: Parts, text: str) -> None:
    parts.language_model.context = 400
    chunks = await collect(parts.engine, replace(REQUEST, text=text, max_tokens=None))
    lengths = prompt_lengths(parts.language_model)
    bounds = [sampling.max_tokens for sampling in parts.language_model.samplings[-len(lengths) :]]
    assert all(length + bound <= 400 for length, bound in zip(lengths, bounds, strict=True))
    assert chunks[-1].usage.output_tokens == sum(bounds)


async def test_a_sentence_has_bounded_tokens_in_the_largest_context(parts: Parts) -> None:
    parts.language_model.context = 30_000
    await collect(parts.engine, replace(REQUEST, text="e" + "\u0301" * 4000))
    assert max(prompt_lengths(parts.language_model)) < 600


async def test_a_voice_that_leaves_no_room_is_refused_before_anything_is_said(parts: Parts) -> None:
    await collect(parts.engine, REQUEST)  # the voice is made
    before = len(parts.language_model.prompts)
    parts.language_model.context = 100
    with pytest.raises(InvalidRequest, match="sample of the voice 'alloy' is so long") as caught:
        await collect(parts.engine, REQUEST)
    assert caught.value.param == "voice"
    assert len(parts.language_model.prompts) == before
