"""The routes of the studio: the rendered page, and the files that it loads."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

logger = logging.getLogger(__name__)

STUDIO: Final = "/studio"
LIBRARY: Final = "gradio"
APP: Final = Path(__file__).parent / "app"

POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # gradio makes functions of its events' code
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob: mediastream:",
        "connect-src 'self' blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
"""The page loads nothing from another host, and sends nothing there."""


class Unchanging(StaticFiles):
    """Files whose names contain a hash of their content."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Return the file; browsers need not ask for it again."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


class Page:
    """The page, rendered once, at the first visit; again at the next if that fails."""

    def __init__(self, render: Callable[[], Coroutine[None, None, dict[str, str]]]) -> None:
        self._render = render
        self._rendering: asyncio.Task[dict[str, str]] | None = None

    async def html(self, request: Request) -> Response:
        """Return the page."""
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
        return Response((await self._rendered())["html"], media_type="text/html", headers=headers)

    async def theme(self, request: Request) -> Response:
        """Return the style sheet of the page's theme."""
        return Response((await self._rendered())["theme"], media_type="text/css", headers={"Cache-Control": "no-cache"})

    async def _rendered(self) -> dict[str, str]:
        if self._rendering is None or (self._rendering.done() and self._rendering.exception()):
            self._rendering = asyncio.create_task(self._render())
        return await asyncio.shield(self._rendering)  # one visitor who leaves does not stop it for the others


async def render() -> dict[str, str]:
    """Render the page in another process; raises HTTPException if that fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "server.studio.render"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        logger.error("The studio's page could not be rendered:\n%s", errors.decode(errors="replace"))
        raise HTTPException(500, "The studio's page could not be rendered. The server's log has the reason.")
    page: dict[str, str] = json.loads(output)
    return page


def _frontend(library: str) -> Path | None:
    """The directory of gradio's files for browsers; None if it is not installed. Does not import it."""
    spec = find_spec(library)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "templates" / "frontend"


def is_installed() -> bool:
    """Whether the libraries of the studio are installed."""
    return _frontend(LIBRARY) is not None


def studio_routes(library: str = LIBRARY) -> list[BaseRoute]:
    """The routes; none if the library of the studio is not installed."""
    frontend = _frontend(library)
    if frontend is None:
        return []
    page = Page(render)
    inner: list[BaseRoute] = [
        Route("/", page.html),
        Route("/theme.css", page.theme),
        Mount("/app", StaticFiles(directory=APP)),
        Mount("/assets", Unchanging(directory=frontend / "assets")),
        Mount("/static", StaticFiles(directory=frontend / "static")),
    ]
    return [Mount(STUDIO, routes=inner)]
