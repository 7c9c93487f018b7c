"""Answers of several pieces, on fakes: pauses, voices, tempos, and times that are exact to a sample of the audio."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.config import EngineConfig, PauseConfig
from engine.errors import InvalidRequest, UnknownVoice
from engine.events import IgnoredMarkup, MarkTime, SentenceTimes
from engine.script.format import Format
from engine.script.growing import Flush
from engine.speech import SpeechEngine
from engine.text import Lexicon, normalise
from engine.tokens.vocabulary import Vocabulary
from engine.types import AudioChunk, Samples, Sampling, SpeechRequest
from engine.voices.database import Database
from tests.engine.fakes import FakeCodec, FakeLanguageModel, fake_engine

TEXT = "The first sentence is here. [pause:1.5s] The second one is a little longer than that. And a third, to end with."
REQUEST = SpeechRequest(TEXT, "alloy", max_tokens=10, sampling=Sampling(seed=1), timestamps=True)


class LoudCodec(FakeCodec):
    """Every token sounds the same: sentences and silence can be told apart."""

    def decode_batch(self, items: list) -> list[Samples]:  # type: ignore[type-arg]
        return [np.full_like(samples, 0.5) for samples in super().decode_batch(items)]


@pytest.fixture
async def engine(vocabulary: Vocabulary, tmp_path: Path) -> AsyncGenerator[SpeechEngine, None]:
    config = EngineConfig(turn_pause_seconds=0.5)
    engine = fake_engine(vocabulary, tmp_path, codec=LoudCodec(), config=config)
    yield engine
    await engine.close()


async def heard(engine: SpeechEngine, request: SpeechRequest) -> tuple[Samples, list[SentenceTimes], list[AudioChunk]]:
    chunks = [chunk async for chunk in engine.synthesize(request)]
    times = [event for chunk in chunks for event in chunk.events if isinstance(event, SentenceTimes)]
    return np.concatenate([chunk.samples for chunk in chunks]), times, chunks


@pytest.mark.parametrize(("between", "seconds"), [(" ", 0.4), ("\n", 0.4), ("\n\n", 1.1), ("\n \n", 1.1)])
async def test_paragraphs_and_sentences_have_their_pauses(
    vocabulary: Vocabulary, tmp_path: Path, between: str, seconds: float
) -> None:
    config = EngineConfig(pauses=PauseConfig(sentence_seconds=0.4, paragraph_seconds=1.1), retakes=0)
    model, codec, database = FakeLanguageModel(vocabulary), LoudCodec(), Database.in_directory(tmp_path)
    engine = SpeechEngine(config, "weights-1", vocabulary, model, codec, database)
    text = f"The first sentence is here.{between}The second one is a little longer than that."
    samples, times, _ = await heard(engine, replace(REQUEST, text=text, sample_rate=16_000))
    await engine.close()
    assert len(times) == 2
    loud = np.flatnonzero(np.abs(samples) > 0.25)
    assert np.diff(loud).max() / 16_000 == pytest.approx(seconds, abs=0.006)  # the fades are 5 ms


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
async def test_times_and_pauses_are_exact_at_every_rate(engine: SpeechEngine, rate: int) -> None:
    samples, times, _ = await heard(engine, replace(REQUEST, sample_rate=rate))
    assert len(samples) == round(2.1 * rate)
    assert [time for one in times for time in (one.start, one.end)] == pytest.approx([0, 0.2, 1.7, 1.9, 1.9, 2.1])
    quiet = np.flatnonzero(samples[round(0.2 * rate) :])[0]
    assert quiet >= 1.5 * rate  # exact silence, and then at once
    assert quiet <= 1.5 * rate + 0.002 * rate
    for time in times:
        middle = samples[round((time.start + 0.02) * rate) : round((time.end - 0.02) * rate)]
        assert middle == pytest.approx(0.5, abs=0.01)
        assert abs(samples[round(time.end * rate) - 1]) < 0.02  # the fade ends here


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 3.0])
async def test_times_are_exact_after_a_tempo(engine: SpeechEngine, speed: float) -> None:
    request = replace(REQUEST, speed=speed, max_tokens=50)
    samples, times, _ = await heard(engine, request)
    one = round(16_000 / speed) / 16_000
    expected = [(0, one), (one + 1.5, 2 * one + 1.5), (2 * one + 1.5, 3 * one + 1.5)]
    assert [time for one in times for time in (one.start, one.end)] == pytest.approx(
        [time for pair in expected for time in pair], abs=1.6 / 24_000
    )
    assert len(samples) == round(times[-1].end * 24_000)
    for time in times:  # a sentence is heard from its start to its end, and nothing of it elsewhere
        inside = samples[round(time.start * 24_000) + 480 : round(time.end * 24_000) - 480]
        assert np.abs(inside).min() > 0.2
    assert not samples[round(times[0].end * 24_000) : round(times[1].start * 24_000)].any()


async def test_a_plain_text_is_one_recording(engine: SpeechEngine) -> None:
    """The same samples with and without times: sentences are joined before the rate is changed."""
    text = TEXT.replace("[pause:1.5s] ", "")
    samples, times, _ = await heard(engine, replace(REQUEST, text=text))
    plain, none, chunks = await heard(engine, replace(REQUEST, text=text, timestamps=False))
    assert np.array_equal(samples, plain)
    assert not none
    assert not any(chunk.events for chunk in chunks)
    assert [text[slice(*time.span)] for time in times] == [time.text for time in times]


async def test_an_event_comes_as_soon_as_its_sentence_has_ended(engine: SpeechEngine) -> None:
    _, _, chunks = await heard(engine, REQUEST)
    samples = 0
    for chunk in chunks:
        samples += len(chunk.samples)
        for event in chunk.events:
            assert isinstance(event, SentenceTimes)
            assert samples <= event.end * 24_000


async def test_a_dialogue_has_its_voices_and_speakers(engine: SpeechEngine) -> None:
    form = Format("dialogue", {"Ann": "nova", "Bob": "echo"})
    request = replace(REQUEST, text="Ann: Hello there, Bob.\nBob: Hello to you, Ann.", form=form)
    samples, times, _ = await heard(engine, request)
    assert [(time.speaker, time.text) for time in times] == [
        ("Ann", "Hello there, Bob."),
        ("Bob", "Hello to you, Ann."),
    ]
    assert times[1].start - times[0].end == pytest.approx(0.5)
    assert len(samples) == round(0.9 * 24_000)


async def test_all_voices_are_checked_before_anything_is_said(engine: SpeechEngine) -> None:
    form = Format("dialogue", {"Ann": "nova", "Bob": "nobody"})
    with pytest.raises(UnknownVoice, match="'nobody'"):
        await heard(engine, replace(REQUEST, text="Ann: Hello there.\nBob: Hello.", form=form))


async def test_ssml_has_rates_marks_and_warnings(engine: SpeechEngine) -> None:
    text = (
        "<speak>A sentence of words. <mark name='a'/><prosody rate='200%'>Another <emphasis>one</emphasis> of them."
        "</prosody><mark name='b'/></speak>"
    )
    _, times, chunks = await heard(engine, replace(REQUEST, text=text, form=Format("ssml"), max_tokens=50))
    assert [time.end - time.start for time in times] == pytest.approx([1, 0.5])
    events = [event for chunk in chunks for event in chunk.events]
    assert isinstance(events[0], IgnoredMarkup)
    assert chunks[0].events == (IgnoredMarkup(("emphasis",)),)
    marks = {event.name: event.seconds for event in events if isinstance(event, MarkTime)}
    assert marks == {"a": pytest.approx(1, abs=0.05), "b": pytest.approx(1.5)}


async def test_a_rate_with_the_speed_has_its_limits(engine: SpeechEngine) -> None:
    text = "<speak><prosody rate='200%'>Too fast.</prosody></speak>"
    with pytest.raises(InvalidRequest, match=r"are 6 together; they must be 0\.25 to 4"):
        await heard(engine, replace(REQUEST, text=text, form=Format("ssml"), speed=3))


async def test_a_text_of_pauses_is_silence(engine: SpeechEngine) -> None:
    samples, times, _ = await heard(engine, replace(REQUEST, text="[pause:2s] [pause:500ms]"))
    assert len(samples) == 60_000
    assert not samples.any()
    assert not times


@pytest.mark.parametrize("speed", [1.0, 1.25])
async def test_a_growing_text_gives_the_samples_of_the_whole(engine: SpeechEngine, speed: float) -> None:
    request = replace(REQUEST, speed=speed)

    async def text() -> AsyncGenerator[str | Flush, None]:
        for at in range(0, len(TEXT), 9):
            await asyncio.sleep(0)
            yield TEXT[at : at + 9]

    grown = [chunk.samples async for chunk in engine.synthesize_growing(request, text())]
    whole, _, _ = await heard(engine, request)
    assert np.array_equal(np.concatenate(grown), whole)


async def test_respellings_of_the_request_go_over_those_of_the_server(vocabulary: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("GIF: jif\nen: {AI: A I}\nzh: {AI: 人工智能}\n", encoding="utf-8")
    config = EngineConfig(lexicons=(tmp_path / "words.yaml",))
    options = config.reading(REQUEST.reading)
    assert (
        normalise("A GIF by AI, not a gif. 我用 AI 学习。", options) == "A jif by A I, not a gif. 我用 人工智能 学习。"
    )
    asked = config.reading(replace(REQUEST.reading, lexicon=Lexicon.of_words({"GIF": "ghif", "new york": "noo york"})))
    assert normalise("A GIF of New York, GIFs of NY.", asked) == "A ghif of noo york, GIFs of NY."
