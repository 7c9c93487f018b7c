"""A turn of a session: text that is still being written, spoken as one request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from engine import AudioChunk, Flush, InvalidRequest, SpeechRequest, speech_weight
from server.admission import Deadline
from server.answers import speech
from server.service import Service
from server.session_audio import AudioOptions, Send, TurnAudio
from server.session_messages import SessionConfig


class Turn:
    """One turn: its text as it comes, and its audio."""

    def __init__(self, service: Service, send: Send, number: int, config: SessionConfig, asked: SpeechRequest) -> None:
        """`send` sends a message to the client."""
        self.text = ""
        self.complete = asyncio.Event()  # the client has sent all of its text
        self._closed = False
        self._admitted = False
        self._half = ""  # the first surrogate of a character, whose second comes with the next text
        self._service = service
        self._config = config
        self._asked = asked
        self._steps: asyncio.Queue[str | Flush | None] = asyncio.Queue()  # None is the end
        self._begun = asyncio.Event()
        self._deadline = Deadline(service.admission.seconds(0))
        options = AudioOptions(
            config.encoding,
            asked.sample_rate,
            streamed=config.stream_audio,
            split=config.split_granularity != "none",
            timestamps=config.timestamps,
        )
        self.audio = TurnAudio(send, service.encoders, options, number)

    async def write(self, text: str) -> None:
        """Add to the text, unless the turn has failed; raises InvalidRequest or LimitReached."""
        if self._closed:
            return
        service, caller = self._service, self._asked.caller or ""
        text = self._half + text
        whole = len(text) - ("\ud800" <= text[-1] <= "\udbff")
        text, self._half = _joined(text[:whole]), text[whole:]
        most = service.settings.websocket.turn_characters
        if len(self.text) + len(text) > most:
            raise InvalidRequest(
                f"The text of a turn is longer than {most} characters; send input.done between.", "text"
            )
        if self._admitted:
            await service.charge(caller, len(text))
        self.text += text
        self._restart_deadline()
        self._steps.put_nowait(text)
        self._begun.set()

    def flush(self) -> None:
        """Speak the text so far."""
        self._steps.put_nowait(Flush())

    def end(self) -> None:
        """The text is complete."""
        self.close()
        self.complete.set()

    def close(self) -> None:
        """Take no more text: what the client still sends of this turn is not spoken."""
        if not self._closed:
            self._closed = self.audio.text_complete = True
            self._steps.put_nowait(None)
            self._begun.set()

    async def speak(self) -> None:
        """Send the audio, from the first text to the end; raises EngineError."""
        await self._begun.wait()
        if not self.text:
            return
        service = self._service
        self._restart_deadline()  # the turn may have waited for the one before it
        self._admitted = True
        chunks = self._chunks()
        admitted = service.admit(self._asked.caller or "", chunks, len(self.text), deadline=self._deadline)
        observed = service.metrics.observe(self._asked, admitted, written=lambda: len(self.text))
        async with aclosing(observed):
            async for chunk in observed:
                await self.audio.send(chunk)
        await self.audio.finish()

    def _restart_deadline(self) -> None:
        """Set the deadline of a request with the text so far."""
        seconds = speech_weight(self.text) / min(self._asked.speed, 1)
        self._deadline.restart(self._service.admission.seconds(seconds))

    async def _chunks(self) -> AsyncGenerator[AudioChunk, None]:
        engine = self._service.engine
        if self._config.grows:
            chunks = engine.synthesize_growing(self._asked, self._text())
        else:
            async for _ in self._text():
                pass
            if not self.text.strip():
                return
            chunks = speech(self._service, engine, replace(self._asked, text=self.text))
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def _text(self) -> AsyncGenerator[str | Flush, None]:
        """The text as it comes, and a flush if an unfinished sentence has waited for too long."""
        fresh = False
        while True:
            try:
                async with asyncio.timeout(self._config.flush_after_seconds if fresh else None):
                    step = await self._steps.get()
            except TimeoutError:
                step = Flush()
            if step is None:
                return
            fresh = isinstance(step, str)
            yield step


def _joined(text: str) -> str:
    """The text with one character for each pair of surrogates, and U+FFFD for each lone one, which cannot be sent."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
