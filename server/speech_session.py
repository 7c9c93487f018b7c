"""A session of /v1/audio/speech/stream: turns of text that is still being written, each spoken as one request."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from typing import Final

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel

from engine import EngineError, InvalidRequest, SpeechRequest
from server.client_fields import names_header
from server.errors import bounded, error_body
from server.service import Service
from server.session_messages import (
    InputCancel,
    InputDone,
    InputFlush,
    InputText,
    Message,
    SessionClose,
    SessionConfig,
    SessionError,
    parse_message,
)
from server.session_turn import Turn

logger = logging.getLogger(__name__)

MOST_TURNS: Final = 4  # that are unfinished at once


class SpeechSession:
    """Reads the messages of one client, and speaks its turns one after another."""

    def __init__(self, websocket: WebSocket, service: Service, caller: str) -> None:
        self._service = service
        self._websocket = websocket
        self._caller = caller
        self._config: SessionConfig | None = None
        self._asked: SpeechRequest | None = None
        self._turns: deque[tuple[Turn, asyncio.Task[None]]] = deque()  # unfinished, in order
        self._number = 0
        self._active = 0.0  # when something was last received or sent, in the loop's time

    async def run(self) -> None:
        """Serve the session until the client leaves, closes it, or is idle."""
        try:
            while await self._handle(await self._receive()):
                pass
            await self._websocket.close()
        except WebSocketDisconnect:
            pass
        finally:
            await self._cancel()

    async def send(self, message: BaseModel | bytes) -> None:
        """Send a message; waits while the client does not read."""
        if isinstance(message, bytes):
            await self._websocket.send_bytes(message)
        else:
            await self._websocket.send_text(message.model_dump_json())
        self._active = asyncio.get_running_loop().time()

    async def _receive(self) -> Message | EngineError | None:
        """Return the next message, or why it cannot be read; None if the client is idle for too long."""
        settings = self._service.settings.websocket
        loop = asyncio.get_running_loop()
        self._active = loop.time()
        receiving = asyncio.ensure_future(self._websocket.receive())
        try:
            while not receiving.done():
                limit = settings.config_seconds if self._config is None else settings.idle_seconds
                left = self._active + limit - loop.time()
                if left <= 0 and not (self._turns and self._turns[0][0].complete.is_set()):
                    return None
                await asyncio.wait((receiving,), timeout=max(left, 0.05))
            event = receiving.result()
        finally:
            receiving.cancel()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        text = event.get("text")
        if text is None:
            return InvalidRequest("A message is a text with JSON, not binary.")
        if len(text) > self._service.settings.max_json_bytes:  # uvicorn refuses it already, but Ray's proxy does not
            await self._websocket.close(1009)
            raise WebSocketDisconnect(1009)
        try:
            return parse_message(text)
        except InvalidRequest as error:
            return error

    async def _handle(self, message: Message | EngineError | None) -> bool:
        """Act on a message; returns whether the session goes on."""
        try:
            match message:
                case None:
                    await self._send_error(InvalidRequest(self._idle()))
                    return False
                case EngineError():
                    raise message
                case SessionConfig():
                    self._configure(message)
                case SessionClose():
                    return False
                case _ if self._config is None:
                    raise InvalidRequest(f"The first message must be session.config, not {message.type}.", "type")
                case InputText():
                    await self._write(message.text)
                case InputFlush() if turn := self._writing():
                    turn.flush()
                case InputDone():
                    (self._writing() or self._begin()).end()
                case InputCancel():
                    await self._cancel(tell=True)
        except EngineError as error:
            await self._send_error(error)
            return self._config is not None
        return True

    def _idle(self) -> str:
        settings = self._service.settings.websocket
        if self._config is None:
            return f"No session.config came within {settings.config_seconds:g} s."
        return f"The session was idle for {settings.idle_seconds:g} s."

    def _configure(self, config: SessionConfig) -> None:
        if self._turns:
            raise InvalidRequest("session.config is possible only between turns; send input.done first.", "type")
        self._service.check_model(config.model)
        names_header("X-Ignored-Fields", config.ignored(self._service.settings.unknown_fields))
        asked = config.to_engine(self._caller)
        separate = not config.stream_audio and config.split_granularity != "none"
        reading = replace(asked.reading, split=config.split)
        self._asked = replace(
            asked, reading=reading, timestamps=True, words=config.timestamps, announce=True, separate=separate
        )
        self._config = config

    async def _write(self, text: str) -> None:
        if not text:
            return
        turn = self._writing() or self._begin()
        try:
            await turn.write(text)
        except EngineError:
            turn.close()
            raise

    def _writing(self) -> Turn | None:
        """The turn whose text is not complete."""
        return self._turns[-1][0] if self._turns and not self._turns[-1][0].complete.is_set() else None

    def _begin(self) -> Turn:
        assert self._config is not None
        assert self._asked is not None
        if len(self._turns) >= MOST_TURNS:
            raise InvalidRequest(f"{MOST_TURNS} turns are not finished yet; wait for session.done.")
        turn = Turn(self._service, self.send, self._number, self._config, self._asked)
        self._number += 1
        before = self._turns[-1][1] if self._turns else None
        self._turns.append((turn, asyncio.create_task(self._speak(turn, before))))
        return turn

    async def _speak(self, turn: Turn, before: asyncio.Task[None] | None) -> None:
        """Speak a turn after the one before it."""
        try:
            with self._service.turn():
                if before is not None:
                    await asyncio.wait((before,))
                async with turn.audio:
                    try:
                        await turn.speak()
                    except EngineError as error:
                        turn.close()
                        await self._send_error(error, partial_audio=turn.audio.partial)
                        await turn.audio.stop(error=True)
            await turn.complete.wait()
            await self.send(turn.audio.done(turn.text))
            self._turns.popleft()
        except WebSocketDisconnect:
            pass
        except Exception:
            logger.exception("A turn of a session failed")
            await self._websocket.close(1011)

    async def _cancel(self, *, tell: bool = False) -> None:
        """Stop all turns; `tell` the client of each what was sent."""
        turns, self._turns = self._turns, deque()
        for _, task in turns:
            task.cancel()
        await asyncio.gather(*(task for _, task in turns), return_exceptions=True)
        if tell:
            for turn, _ in turns:
                await turn.audio.stop(error=False)
                await self.send(turn.audio.done(turn.text, cancelled=True))

    async def _send_error(self, error: EngineError, *, partial_audio: bool = False) -> None:
        status, body = error_body(error)
        if status >= 500:
            logger.error("A session's turn failed: %s", error, exc_info=error if status == 500 else None)
        body = bounded(body)
        await self.send(SessionError(message=body.message, error=body, partial_audio=partial_audio))
