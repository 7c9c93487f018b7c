"""A bound on what a client may send, kept while it sends, and answered in OpenAI's shape."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import too_large

PATIENCE = 3  # times the limit that is read, and thrown away, before the connection is closed


class BodyLimit:
    """ASGI middleware. FastAPI's own `max_body_size` answers in plain text, which OpenAI's clients cannot read."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that says it is too large; stop reading one that turns out to be."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            if "expect" not in headers:  # else it asks before it sends
                await self._drop(receive)
            await too_large()(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                if message.get("more_body"):
                    await self._drop(receive)
                raise HTTPException(413)
            return message

        await self._app(scope, receive_within_limit, send)

    async def _drop(self, receive: Receive) -> None:
        """Let a client finish what is a little too large: only then does it listen. Much more is cut off."""
        dropped, more = 0, True
        while more and dropped < PATIENCE * self._max_bytes:
            message = await receive()
            dropped += len(message.get("body", b""))
            more = message.get("more_body", False)
