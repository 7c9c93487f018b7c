"""Subtitles from the times of an answer's sentences and words: SubRip (SRT) and WebVTT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Final, Literal

from engine import SentenceTimes, SpeechEvent, WordTime, WordTimes

SubtitleFormat = Literal["srt", "vtt"]


def srt(events: Iterable[SpeechEvent]) -> str:
    """Return the sentences of an answer as an SRT file, one subtitle each."""
    sentences = [event for event in events if isinstance(event, SentenceTimes)]
    return "\n".join(
        f"{number}\n{_time(one.start, ',')} --> {_time(one.end, ',')}\n{_line(one.text)}\n"
        for number, one in enumerate(sentences, 1)
    )


def vtt(events: Iterable[SpeechEvent]) -> str:
    """Return the sentences of an answer as a WebVTT file, one cue each, in which the speaker is named.

    Words whose times are known have them: players can show how far the speech is.
    """
    events = list(events)
    words = {event.sentence: event.words for event in events if isinstance(event, WordTimes)}
    cues = (
        f"\n{_time(one.start, '.')} --> {_time(one.end, '.')}\n"
        f"<v {escape(one.speaker, quote=False)}>{_timed(one, words.get(one.number, ()))}\n"
        for one in events
        if isinstance(one, SentenceTimes)
    )
    return "WEBVTT\n" + "".join(cues)


SUBTITLES: Final = {"srt": srt, "vtt": vtt}
"""The writer of each format."""


def _timed(sentence: SentenceTimes, words: Sequence[WordTime]) -> str:
    """The sentence as it was written, with the times of the words that the listener understood as they are written."""
    text, done, last, parts = _line(sentence.text), 0, _time(sentence.start, "."), list[str]()
    for place, seconds in _places(text, words):
        time = _time(seconds, ".")
        if last < time < _time(sentence.end, "."):
            parts += [escape(text[done:place], quote=False), f"<{time}>"]
            done, last = place, time
    return "".join([*parts, escape(text[done:], quote=False)])


def _places(text: str, words: Sequence[WordTime]) -> Iterator[tuple[int, float]]:
    """Where in the text words begin, and when. Letters are compared: Chinese has no spaces between words."""
    written = [place for place, char in enumerate(text) if char.isalnum()]
    heard = ["".join(filter(str.isalnum, word.word.casefold())) for word in words]
    starts = {len("".join(heard[:number])): number for number, letters in enumerate(heard) if letters}
    matcher = SequenceMatcher(None, [text[place].casefold() for place in written], "".join(heard), autojunk=False)
    for place, at, size in matcher.get_matching_blocks():
        for number in (starts[n] for n in range(at, at + size) if n in starts):
            begin = len("".join(heard[:number]))
            if begin + len(heard[number]) <= at + size:
                yield written[place + begin - at], words[number].start


def _time(seconds: float, point: str) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _line(text: str) -> str:
    """One line: an empty one would end the subtitle."""
    return " ".join(text.split())
