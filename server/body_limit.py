"""A bound on what a client may send, kept while it sends, and answered in OpenAI's shape."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import refuse

PATIENCE = 3  # times the limit that is read, and thrown away, before the connection is closed


class BodyLimit:
    """ASGI middleware. FastAPI's own `max_body_size` answers in plain text, which OpenAI's clients cannot read.

    Forms with files may have `max_form_bytes`, all other bodies `max_json_bytes`: these are parsed as a whole, on
    the event loop. What is compressed could become larger than either, and is refused.
    """

    def __init__(self, app: ASGIApp, max_form_bytes: int, max_json_bytes: int) -> None:
        self._app = app
        self._max_form_bytes = max_form_bytes
        self._max_json_bytes = max_json_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that says it is too large; stop reading one that turns out to be."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        limit = self._max_form_bytes if form else self._max_json_bytes
        length = headers.get("content-length", "0")
        encoding = headers.get("content-encoding", "identity")
        too_large = f"The body is larger than this server takes: {limit} bytes."
        close = {"Connection": "close"}  # for it may be sending still
        refusal = None
        if length.isdecimal() and int(length) > limit:
            refusal = refuse(413, too_large, close)
        elif encoding.lower() != "identity":
            message = f"The body has Content-Encoding: {encoding}; send it without, as it is."
            refusal = refuse(415, message, {"Accept-Encoding": "identity"})
        if refusal:
            if "expect" not in headers:  # else it asks before it sends
                await self._drop(receive)
            await refusal(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                if message.get("more_body"):
                    await self._drop(receive)
                raise HTTPException(413, too_large, close)
            return message

        await self._app(scope, receive_within_limit, send)

    async def _drop(self, receive: Receive) -> None:
        """Let a client finish what is a little too large: only then does it listen. Much more is cut off."""
        dropped, more = 0, True
        while more and dropped < PATIENCE * self._max_form_bytes:
            message = await receive()
            dropped += len(message.get("body", b""))
            more = message.get("more_body", False)
