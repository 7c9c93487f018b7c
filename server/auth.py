"""API keys: authentication in constant time, before the request's body is read."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import unauthorised


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
    """ASGI middleware: answers 401 to requests without a valid key, except on open paths and in open folders."""

    def __init__(
        self, app: ASGIApp, keys: Keys, open_paths: tuple[str, ...], open_folders: tuple[str, ...] = ()
    ) -> None:
        self._app = app
        self._keys = keys
        self._open_paths = open_paths + open_folders
        self._open_folders = tuple(f"{folder}/" for folder in open_folders)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store the caller's name in the request's state, or answer 401."""
        if scope["type"] == "http":
            caller = self._keys.caller(Headers(scope=scope).get("authorization", ""))
            if caller is None and not self._is_open(scope["path"]):
                await unauthorised()(scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return (path.rstrip("/") or "/") in self._open_paths or path.startswith(self._open_folders)


async def caller_of(request: Request) -> str:
    """The name of the request's key, for routes; "" if the server has no keys."""
    caller: str = request.state.caller
    return caller


CallerDependency = Annotated[str, Depends(caller_of)]
