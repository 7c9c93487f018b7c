"""A listener of one's own: a server with OpenAI's transcriptions, which says whether a sentence was understood."""

from __future__ import annotations

import asyncio
import io
import logging
import wave

import httpx2

from engine.config import ListenerConfig
from engine.takes.words import error_rate
from engine.text import Language
from engine.text.script import is_chinese
from engine.types import CODEC_SAMPLE_RATE, Samples

logger = logging.getLogger(__name__)

RETRY_SECONDS = 15  # a listener that failed is not asked for so long: an answer must not wait at each sentence


class Listener:
    """Any server with POST /v1/audio/transcriptions: speaches, whisper.cpp, LocalAI. Belongs to one event loop."""

    def __init__(self, config: ListenerConfig) -> None:
        self._config = config
        self._asked_again_at = 0.0
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
        language = "zh" if is_chinese(text) else "en" if asked in (None, "zh") else asked
        loop = asyncio.get_running_loop()
        if loop.time() < self._asked_again_at:
            return None
        try:
            async with asyncio.timeout(self._config.seconds):
                return error_rate(text, await self._transcribe(samples, language), language)
        except (httpx2.HTTPError, TimeoutError, ValueError, KeyError, TypeError) as error:
            self._asked_again_at = loop.time() + RETRY_SECONDS
            reason = str(error).partition("\n")[0] or type(error).__name__
            logger.warning("The listener at %s does not answer: %s", self._config.url, reason)
            return None

    async def _transcribe(self, samples: Samples, language: Language) -> str:
        form = {
            "model": self._config.model,
            "language": language.partition("-")[0],
            "response_format": "json",
            "temperature": "0",
        }
        file = ("speech.wav", _wav(samples), "audio/wav")
        url = f"{self._config.url}/v1/audio/transcriptions"
        answer = await self._http.post(url, data=form, files={"file": file})
        text = answer.raise_for_status().json()["text"]
        if not isinstance(text, str):
            raise TypeError("its answer has no text")
        return text

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _wav(samples: Samples) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(CODEC_SAMPLE_RATE)
        file.writeframes((samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
    return data.getvalue()
