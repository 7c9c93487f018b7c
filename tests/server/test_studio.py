"""The studio's routes: without its library, when the page cannot be rendered, and the way there."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from engine.tokens.vocabulary import Vocabulary
from server.studio import is_installed, studio_routes
from server.studio.routes import Page
from tests.server.conftest import Server
from tests.server.fakes import Fakes, patient

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_there_are_no_routes_without_the_library() -> None:
    assert studio_routes("no_such_library") == []


def test_the_server_does_not_import_the_library() -> None:
    program = "import sys, server.app; print('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"False\n"


@pytest.mark.parametrize("enabled", [True, False])
def test_browsers_are_sent_to_the_studio_or_the_documentation(
    vocabulary: Vocabulary, tmp_path: Path, serve: Callable[[FastAPI], Server], enabled: bool
) -> None:
    server = serve(Fakes(vocabulary, tmp_path, patient(studio=enabled)).app)
    there = enabled and is_installed()
    root = httpx.get(server.url, headers=BROWSER, timeout=60)
    assert root.headers["Location"] == ("./studio/" if there else "./docs")
    assert httpx.get(server.url, timeout=60).json()["studio"] == ("/studio" if there else None)
    if not there:
        assert httpx.get(f"{server.url}/studio/", timeout=60).status_code == 404


async def test_a_page_that_cannot_be_rendered_is_rendered_at_the_next_visit() -> None:
    pages = iter([HTTPException(500, "no page"), {"html": "<p>the page</p>", "theme": ""}])

    async def render() -> dict[str, str]:
        page = next(pages)
        if isinstance(page, Exception):
            raise page
        return page

    app = Starlette(routes=[Route("/", Page(render).html)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        assert (await http.get("/")).status_code == 500
        for _ in range(2):
            answer = await http.get("/")
            assert answer.text == "<p>the page</p>"
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
