"""A listener of one's own: a server with OpenAI's transcriptions. It says what it heard of a sentence, and when."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import wave
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import httpx2

from engine.config import ListenerConfig
from engine.events import WordTime
from engine.takes.words import error_rate
from engine.text import Language
from engine.text.script import is_chinese
from engine.types import CODEC_SAMPLE_RATE, Samples

logger = logging.getLogger(__name__)

Heard = TypeVar("Heard")
Form = Literal["json", "verbose_json"]
"""OpenAI's `response_format`: the text, or also its words with their times."""

RETRY_SECONDS = 15  # a listener that failed is not asked for so long: an answer must not wait at each sentence
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)  # odd answers, nested ones, or it is closed
LARGEST = 1_000_000  # bytes of an answer; a sentence has some thousand, with the times of all its words


class Listener:
    """Any server with POST /v1/audio/transcriptions: speaches, whisper.cpp, LocalAI. Belongs to one event loop."""

    def __init__(self, config: ListenerConfig) -> None:
        self._config = config
        # Apart: there are servers that know only one of the forms.
        self._asked_again_at: dict[Form, float] = {"json": 0, "verbose_json": 0}
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {config.api_key.get_secret_value()}"} if config.api_key else {},
            timeout=config.seconds,
            trust_env=False,  # no proxy
        )

    @property
    def bound(self) -> float:
        """The error rate from which a sentence was not understood."""
        return self._config.max_error_rate

    async def errors(self, samples: Samples, text: str, asked: Language | None = None) -> float | None:
        """The error rate of what the listener understood, against the normalised `text`; None if it does not answer.

        `samples` has shape (n,), at 16 kHz. `asked` is the language of a text that is not Chinese, English by default;
        the listener is told the language, so that it does not guess.
        """
        language = _language(text, asked)
        heard = await self._ask(samples, language, "json", _text)
        return None if heard is None else await asyncio.to_thread(error_rate, text, heard, language)

    async def words(self, samples: Samples, text: str, asked: Language | None = None) -> list[WordTime] | None:
        """The words that the listener understood, in seconds of the samples; None if it has no times of words.

        `samples` has shape (n,), at 16 kHz; `text` is what they say, and `asked` as in `errors`.
        """
        words = await self._ask(samples, _language(text, asked), "verbose_json", _words)
        seconds = samples.size / CODEC_SAMPLE_RATE
        return words and [WordTime(one.word, min(one.start, seconds), min(one.end, seconds)) for one in words]

    async def _ask(
        self, samples: Samples, language: Language, form: Form, read: Callable[[dict[str, Any]], Heard]
    ) -> Heard | None:
        """Return what `read` finds in the listener's answer; None, with a line in the log, if it does not answer."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._asked_again_at[form]:
            return None
        try:
            async with asyncio.timeout(self._config.seconds):
                return read(await self._transcribe(samples, language, form))
        except (httpx2.HTTPError, TimeoutError, *_NONSENSE) as error:
            self._asked_again_at[form] = loop.time() + RETRY_SECONDS
            reason = str(error).partition("\n")[0] or type(error).__name__
            logger.warning("The listener at %s does not answer: %s", self._config.url, reason)
            return None

    async def _transcribe(self, samples: Samples, language: Language, form: Form) -> dict[str, Any]:
        data = {
            "model": self._config.model,
            "language": language.partition("-")[0],
            "response_format": form,
            "temperature": "0",
        }
        if form == "verbose_json":
            data["timestamp_granularities[]"] = "word"
        file = ("speech.wav", _wav(samples), "audio/wav")
        url = f"{self._config.url}/v1/audio/transcriptions"
        content = bytearray()
        async with self._http.stream("POST", url, data=data, files={"file": file}) as answer:
            async for piece in answer.raise_for_status().aiter_bytes():
                content += piece
                if len(content) > LARGEST:
                    raise ValueError(f"its answer has more than {LARGEST:,} bytes")
        found = json.loads(content)
        if not isinstance(found, dict):
            raise TypeError("its answer is no JSON object")
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _language(text: str, asked: Language | None) -> Language:
    return "zh" if is_chinese(text) else "en" if asked in (None, "zh") else asked


def _text(answer: dict[str, Any]) -> str:
    text = answer.get("text")
    if not isinstance(text, str):
        raise TypeError("its answer has no text")
    return text


def _words(answer: dict[str, Any]) -> list[WordTime] | None:
    """The words of an answer, as OpenAI has them or, with whisper.cpp, in its segments; None if there are none."""
    given = answer.get("words")
    if given is None:
        given = [word for segment in answer.get("segments") or () for word in segment.get("words") or ()]
        given = None if not given and _text(answer).strip() else _joined(given)
    if given is None:
        return None
    words = [WordTime(word["word"].strip(), _seconds(word["start"]), _seconds(word["end"])) for word in given]
    return [word for word in words if word.word]


def _seconds(time: float) -> float:
    if not math.isfinite(time):
        raise ValueError("a time in its answer is not a number")
    return max(0.0, time)


def _joined(tokens: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Whisper.cpp's tokens as words: one that begins without a space goes on, if words have spaces at all."""
    words: list[dict[str, Any]] = []
    for token in tokens:
        if words and not token["word"].startswith(" ") and words[0]["word"].startswith(" "):
            words[-1] = {"word": words[-1]["word"] + token["word"], "start": words[-1]["start"], "end": token["end"]}
        else:
            words.append(token)
    return words


def _wav(samples: Samples) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(CODEC_SAMPLE_RATE)
        file.writeframes((samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
    return data.getvalue()
