"""API keys: authentication in constant time, before the request's body is read."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import refuse, unauthorised

KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""The prefix of a key in a WebSocket's subprotocols, as OpenAI's browser clients send it."""


class Keys:
    """The keys of this server, as `name: SHA-256 in hex`. Without keys, every caller has the name ""."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = hashes

    def caller(self, authorization: str) -> str | None:
        """Return the name of the key in an Authorization header, or None if it is invalid, in constant time."""
        if not self._hashes:
            return ""
        scheme, _, key = authorization.partition(" ")
        given = hashlib.sha256(key.strip().encode("latin-1", "replace")).hexdigest()
        found = None
        for name, expected in self._hashes.items():
            if hmac.compare_digest(given, expected):
                found = name
        return found if scheme.lower() == "bearer" else None


class Authentication:
    """ASGI middleware: answers 401 to requests without a valid key, except on open paths and in open folders.

    WebSockets of web pages get 403 unless the page is one of `origins`, or this server's own.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        open_paths: tuple[str, ...],
        open_folders: tuple[str, ...] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._keys = keys
        self._open_paths = open_paths + open_folders
        self._open_folders = tuple(f"{folder}/" for folder in open_folders)
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store the caller's name in the request's state, or answer 401."""
        if scope["type"] in ("http", "websocket"):
            caller = self._keys.caller(_authorization(scope))
            if caller is None and not self._is_open(scope["path"]):
                await unauthorised()(scope, receive, send)
                return
            if scope["type"] == "websocket" and not self._from_here(Headers(scope=scope)):
                await refuse(403, "This page may not use the server; see the setting cors_origins.")(
                    scope, receive, send
                )
                return
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return (path.rstrip("/") or "/") in self._open_paths or path.startswith(self._open_folders)

    def _from_here(self, headers: Headers) -> bool:
        """Whether a WebSocket comes from an allowed page, or from none: browsers leave this check to the server."""
        origin = headers.get("origin")
        if origin is None or "*" in self._origins or origin in self._origins:
            return True
        return urlsplit(origin).netloc == headers.get("host")


def _authorization(scope: Scope) -> str:
    """Return the Authorization header. A browser cannot send one with a WebSocket: it offers the key as a protocol."""
    given = Headers(scope=scope).get("authorization", "")
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(KEY_PROTOCOL):
            given = given or f"Bearer {protocol.removeprefix(KEY_PROTOCOL)}"
    return given


async def caller_of(request: HTTPConnection) -> str:
    """The name of the request's key, for routes; "" if the server has no keys."""
    caller: str = request.state.caller
    return caller


def chosen_protocol(connection: HTTPConnection) -> str | None:
    """The subprotocol to confirm to a WebSocket's client: the first that it offers which is not a key."""
    offered: list[str] = connection.scope.get("subprotocols", [])
    return next((protocol for protocol in offered if not protocol.startswith(KEY_PROTOCOL)), None)


CallerDependency = Annotated[str, Depends(caller_of)]
