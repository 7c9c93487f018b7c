"""The audio messages of one turn: sentences as files of their own, or one stream with their beginnings and ends."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pydantic import BaseModel

from engine import (
    AudioChunk,
    IgnoredMarkup,
    MarkTime,
    Native,
    SentenceBegun,
    SentenceTimes,
    SpeechWarning,
    WordTimes,
    speech_weight,
)
from server.encoding import AudioFormat, Encoder, WholeFile, stream_encoder, whole_file
from server.session_messages import AudioDone, AudioStart, SessionDone
from server.speech_events import event_model

Send = Callable[[BaseModel | bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AudioOptions:
    """How the audio of a session is sent."""

    format: AudioFormat
    sample_rate: int
    streamed: bool
    split: bool
    """Whether each sentence has its own messages, or the whole turn."""
    timestamps: bool


class TurnAudio:
    """Sends the audio of one turn, and keeps account of what was sent. A context, which frees its encoder."""

    def __init__(self, send: Send, threads: Executor, options: AudioOptions, turn: int) -> None:
        self._send = send
        self._threads = threads
        self._options = options
        self._turn = turn
        self.text_complete = False  # no more text of the turn will come
        self._stack = AsyncExitStack()
        self._stream: Native[Encoder] | None = None
        self._file: Native[WholeFile] | None = None
        self._open = False  # a sentence
        self._sentences = 0
        self._bytes = 0  # of the sentence
        self._samples = 0  # of the turn
        self._before = 0  # of these, those before the last sentence
        self._begun: SentenceBegun | None = None  # that sentence
        self._ended = False  # that sentence
        self._stopped = False  # before its end
        self._sent = (0, 0)  # samples, and characters of the text, of the files that were sent

    async def __aenter__(self) -> TurnAudio:
        """Begin the turn."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Free the encoder."""
        await self._stack.aclose()

    async def send(self, chunk: AudioChunk) -> None:
        """Send the next samples and what they begin and end."""
        for event in chunk.events:
            if isinstance(event, SentenceBegun):
                await self._begin(event)
        if chunk.samples.size:
            await self._encode(chunk)
        for event in chunk.events:
            timed = isinstance(event, SentenceTimes | MarkTime | WordTimes | SpeechWarning) and self._options.timestamps
            if timed or isinstance(event, IgnoredMarkup):
                await self._send(event_model(event))
            if isinstance(event, SentenceTimes):
                self._ended = True
                # Another sentence follows soon or none: the encoder and the filter still hold the last samples.
                if self._options.split and not (self._options.streamed and self.text_complete):
                    await self._end()
        if chunk.last:
            await self.finish()

    async def finish(self) -> None:
        """Send what the encoder holds back, and end the last sentence."""
        if self._stream is not None:
            await self._send_bytes(await self._stream.run(Encoder.close))
        await self._end()

    async def stop(self, *, error: bool) -> None:
        """End a sentence that is not complete; the file of its beginning is not sent."""
        self._stopped = True
        if not self._options.streamed:
            self._file, self._begun = None, None
            self._samples = self._sent[0]
        await self._end(error=error and not self._ended)

    @property
    def partial(self) -> bool:
        """Whether a part of a sentence was sent that is not complete."""
        return self._open and not self._ended and self._bytes > 0

    def done(self, text: str, *, cancelled: bool = False) -> SessionDone:
        """Return the message that ends the turn. `text` is all of its text."""
        return SessionDone(
            utterance_index=self._turn,
            total_sentences=self._sentences,
            seconds=self._samples / self._options.sample_rate,
            text=self._said(text) if self._stopped else text,
            cancelled=cancelled,
        )

    def _said(self, text: str) -> str:
        """The part of the text that was sent. Within a sentence that did not end, it is estimated from its length."""
        sentence = self._begun
        if sentence is None:
            return text[: self._sent[1]]
        if self._ended:
            return text[: sentence.span.end]
        seconds = (self._samples - self._before) / self._options.sample_rate * sentence.tempo
        said = bisect_right(
            range(len(sentence.text)), seconds, key=lambda length: speech_weight(sentence.text[: length + 1])
        )
        return text[: min(sentence.span.start + said, sentence.span.end)]

    async def _begin(self, sentence: SentenceBegun) -> None:
        if self._options.split:
            await self._end()
        self._before, self._begun, self._ended = self._samples, sentence, False
        if self._open:
            return
        self._open = True
        self._bytes = 0
        start = AudioStart(
            utterance_index=self._turn,
            sentence_index=self._sentences,
            sentence_text=sentence.text.strip(),
            format=self._options.format,
            sample_rate=self._options.sample_rate,
        )
        await self._send(start)

    async def _encode(self, chunk: AudioChunk) -> None:
        made = (self._threads, self._options.format, self._options.sample_rate)
        self._samples += chunk.samples.size
        if self._options.streamed:
            if self._stream is None:
                self._stream = await self._stack.enter_async_context(stream_encoder(*made))
            await self._send_bytes(await self._stream.run(lambda encoder: encoder.encode(chunk.samples)))
        else:
            if self._file is None:
                self._file = await self._stack.enter_async_context(whole_file(*made))
            await self._file.run(WholeFile.write, chunk.samples)

    async def _end(self, *, error: bool = False) -> None:
        """End the sentence, if one is open."""
        if not self._open:
            return
        if self._file is not None:
            data = await self._file.run(WholeFile.close)
            await self._stack.aclose()
            self._file = None
            await self._send_bytes(data)
            self._sent = (self._samples, self._begun.span.end if self._begun else 0)
        self._open = False
        number, self._sentences = self._sentences, self._sentences + 1
        await self._send(
            AudioDone(utterance_index=self._turn, sentence_index=number, total_bytes=self._bytes, error=error)
        )

    async def _send_bytes(self, data: bytes) -> None:
        if data:
            self._bytes += len(data)
            await self._send(data)
