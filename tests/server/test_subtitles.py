"""Subtitles: what players read, with the times of words that the listener understood."""

import io

import av
import pytest

from engine import SentenceTimes, SpeechEvent, WordTime, WordTimes
from engine.text import Span
from server.subtitles import srt, vtt


def sentence(number: int, text: str, start: float, end: float, speaker: str = "alloy") -> SentenceTimes:
    return SentenceTimes(number, text, Span(0, len(text)), start, end, speaker)


def words(number: int, *heard: tuple[str, float]) -> WordTimes:
    return WordTimes(number, tuple(WordTime(word, start, start + 0.1) for word, start in heard))


EVENTS: list[SpeechEvent] = [
    sentence(0, "It costs $5 & more.\nReally.", 0, 1.5),
    sentence(1, "你好，世界。", 61.5, 3661.25, "<Ann>"),
    words(0, ("It", 0.0), ("costs", 0.4), ("five", 0.7), ("and", 0.9), ("more", 1.1), ("really", 2.0)),
    words(1, ("你好", 61.5), ("世界", 62.0)),
]


def test_srt() -> None:
    assert srt(EVENTS) == (
        "1\n00:00:00,000 --> 00:00:01,500\nIt costs $5 & more. Really.\n\n"
        "2\n00:01:01,500 --> 01:01:01,250\n你好，世界。\n"
    )


def test_vtt_has_the_times_of_words_that_are_written_as_they_were_understood() -> None:
    assert vtt(EVENTS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n"
        "<v alloy>It <00:00:00.400>costs $5 &amp; <00:00:01.100>more. Really.\n\n"
        "00:01:01.500 --> 01:01:01.250\n<v &lt;Ann&gt;>你好，<00:01:02.000>世界。\n"
    )


def test_without_words_a_cue_is_its_text() -> None:
    assert "<v alloy>It costs $5 &amp; more. Really.\n" in vtt(EVENTS[:1])


@pytest.mark.parametrize(("write", "name"), [(srt, "srt"), (vtt, "webvtt")])
def test_ffmpeg_reads_them(write: object, name: str) -> None:
    assert callable(write)
    with av.open(io.BytesIO(write(EVENTS).encode()), format=name) as file:
        packets = [packet for packet in file.demux() if packet.size]
    times = [(float(packet.pts * packet.time_base), float(packet.duration * packet.time_base)) for packet in packets]
    assert times == [(0, 1.5), (61.5, 3599.75)]
