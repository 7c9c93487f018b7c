"""A limit on the size of request bodies, enforced while they arrive, with OpenAI's error body."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import refuse

PATIENCE = 3  # the multiple of the limit that is read and discarded before the connection is closed


class BodyLimit:
    """ASGI middleware. FastAPI's own `max_body_size` answers in plain text, which OpenAI's clients cannot read.

    `by_type` maps content types to limits, in bytes. `otherwise` is the limit for all other types: these bodies are
    parsed at once, on the event loop. Compressed bodies are refused: decompressed, they could exceed the limit.
    """

    def __init__(self, app: ASGIApp, by_type: Mapping[str, int], otherwise: int) -> None:
        self._app = app
        self._by_type = by_type
        self._otherwise = otherwise
        self._largest = max(otherwise, *by_type.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body whose Content-Length exceeds the limit; stop reading a body that exceeds it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        limit = self._by_type.get(content_type, self._otherwise)
        length = headers.get("content-length", "0")
        encoding = headers.get("content-encoding", "identity")
        too_large = f"The body is larger than the limit of {limit} bytes."
        close = {"Connection": "close"}  # the client may still be sending
        refusal = None
        if length.isdecimal() and int(length) > limit:
            refusal = refuse(413, too_large, close)
        elif encoding.lower() != "identity":
            message = f"The body has Content-Encoding: {encoding}; send it uncompressed."
            refusal = refuse(415, message, {"Accept-Encoding": "identity"})
        if refusal:
            if "expect" not in headers:  # with Expect, the client waits before it sends the body
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
        """Read and discard the rest of the body, up to PATIENCE: many clients read the response only after sending."""
        dropped, more = 0, True
        while more and dropped < PATIENCE * self._largest:
            message = await receive()
            dropped += len(message.get("body", b""))
            more = message.get("more_body", False)
