"""What a client sees of Ray's proxy: OpenAI's error body for errors that are not the app's, and checked request ids.

The proxies load it if RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=server.cluster_edge:middleware is in the environment
of `ray start`.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.app import is_request_id
from server.errors import refuse

VARIABLE: Final = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
IMPORT_PATH: Final = "server.cluster_edge:middleware"


def middleware() -> list[Middleware]:
    """The middleware of the proxies."""
    return [Middleware(Edge)]


class Edge:
    """ASGI middleware around Ray's routing.

    An error of Ray has a text as its body; an error of the app has JSON. If a replica dies before its response begins,
    Ray sends none. If it dies later, the connection is closed, so that the client sees that the audio is not complete.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and rewrite errors of Ray."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = MutableHeaders(scope=scope)
        if not is_request_id(headers.get("X-Request-Id", "")):
            del headers["X-Request-Id"]  # Ray makes one
        begun = refused = False

        async def send_checked(message: Message) -> None:
            nonlocal begun, refused
            if message["type"] == "http.response.start":
                begun = True
                told = MutableHeaders(scope=message)
                refused = message["status"] >= 400 and told.get("content-type", "").startswith("text/plain")
                if refused:
                    extra = {name: told[name] for name in ("X-Request-Id", "Retry-After") if name in told}
                    await _refuse(message["status"], extra, scope, receive, send)
            if not refused:
                await send(message)

        await self._app(scope, receive, send_checked)
        if not begun:
            await _refuse(503, {"Retry-After": "1"}, scope, receive, send)


async def _refuse(status: int, headers: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
    message = {
        404: "There is no application here yet; it is being deployed.",
        408: "The request took longer than the cluster's request_timeout_s.",
        503: "The replica that had this request has stopped, or none is ready. Try again.",
    }.get(status, "The cluster could not answer this request.")
    await refuse(status, message, headers, code="not_ready" if status == 503 else None)(scope, receive, send)
