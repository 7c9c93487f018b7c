"""`python -m server.studio.render` prints the studio's page and its theme as JSON; the only module that runs gradio."""

from __future__ import annotations

import json
import os
import re
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.nice(10)  # running speech comes first

import gradio as gr  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from server.studio.page import build, theme, words  # noqa: E402

ROOT = "http://testserver/studio"

HEAD = """<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M2 6v4M5 3v10M8 5v6M11 2v12M14 6v4' stroke='%23ea580c' stroke-width='1.6' stroke-linecap='round'/%3E%3C/svg%3E">
<link rel="stylesheet" href="./app/studio.css">
<script type="module" src="./app/studio.js"></script>
"""


def render() -> dict[str, str]:
    """Return the page, with addresses relative to its own, and its theme's style sheet."""
    app = FastAPI()
    blocks = build()
    gr.mount_gradio_app(
        app,
        blocks,
        "/studio",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        i18n=words(),
        theme=theme(),
    )
    client = TestClient(app)
    html = client.get("/studio/").raise_for_status().text
    html = re.sub(r'<meta\s+(property|name)="(og|twitter):[^>]*>\s*', "", html)  # they name other hosts
    html = html.replace('<link rel="manifest" href="/manifest.json" />', HEAD)
    # The page can be reached under several addresses, for example behind a proxy.
    html = html.replace(f'"{ROOT}"', 'new URL(".", location).href.slice(0, -1)')
    return {"html": html, "theme": client.get("/studio/theme.css").raise_for_status().text}


if __name__ == "__main__":
    json.dump(render(), sys.stdout)
