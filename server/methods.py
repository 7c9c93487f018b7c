"""HEAD, OPTIONS, the Allow header and trailing slashes, for every route."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Response
from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class Methods:
    """ASGI middleware. FastAPI lacks HEAD and OPTIONS, and its Allow header covers only one of a path's routes."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer OPTIONS, or pass the request on. Removes a trailing slash, and handles HEAD as GET."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].endswith("/"):
            without = {**scope, "path": scope["path"].removesuffix("/")}
            scope = without if self._allowed(without) else scope
        if self._takes(scope, scope["method"]):
            await self._app(scope, receive, send)
            return
        allowed = self._allowed(scope)
        allow = ", ".join(sorted({*allowed, "OPTIONS"}))
        if scope["method"] == "OPTIONS" and allowed:
            await Response(status_code=204, headers={"Allow": allow})(scope, receive, send)
            return
        if scope["method"] == "HEAD" and "HEAD" in allowed:
            scope = {**scope, "method": "GET"}

        async def send_with_allow(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                MutableHeaders(scope=message)["Allow"] = allow
            await send(message)

        await self._app(scope, receive, send_with_allow)

    def _takes(self, scope: Scope, method: str) -> bool:
        asked = {**scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in self._routes)

    def _allowed(self, scope: Scope) -> set[str]:
        """Return the methods of a path; empty if there is no such path."""
        allowed = {method for method in METHODS if self._takes(scope, method)}
        return allowed | {"HEAD"} if "GET" in allowed else allowed
