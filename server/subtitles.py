"""Subtitles from the times of an answer's sentences: SubRip (SRT) and WebVTT."""

from __future__ import annotations

from collections.abc import Iterable

from engine import SentenceTimes


def srt(sentences: Iterable[SentenceTimes]) -> str:
    """Return the sentences as an SRT file, one subtitle each."""
    return "\n".join(
        f"{number}\n{_time(one.start, ',')} --> {_time(one.end, ',')}\n{_line(one.text)}\n"
        for number, one in enumerate(sentences, 1)
    )


def vtt(sentences: Iterable[SentenceTimes]) -> str:
    """Return the sentences as a WebVTT file, one cue each, in which the speaker is named."""
    cues = (
        f"\n{_time(one.start, '.')} --> {_time(one.end, '.')}\n<v {_escaped(one.speaker)}>{_escaped(_line(one.text))}\n"
        for one in sentences
    )
    return "WEBVTT\n" + "".join(cues)


def _time(seconds: float, point: str) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _line(text: str) -> str:
    """One line: an empty one would end the subtitle."""
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
