"""`python -m server.studio.render` prints the studio's page and its theme as JSON. Nothing else runs gradio."""

from __future__ import annotations

import json
import os
import re
import sys

ROOT = "http://testserver/studio"  # the address of the page in starlette's test client

HEAD = """<link rel="icon" href="./app/icon.svg">
<link rel="stylesheet" href="./app/studio.css">
<script type="module" src="./app/studio.js"></script>"""


def render() -> dict[str, str]:
    """Return the page, with addresses relative to its own, and its theme's style sheet."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from server.studio.page import build, theme, words

    app = FastAPI()
    settings = {"footer_links": [], "run_history": False, "ssr_mode": False, "pwa": False, "mcp_server": False}
    gr.mount_gradio_app(app, build(), "/studio", i18n=words(), theme=theme(), **settings)
    client = TestClient(app)
    html = client.get("/studio/").raise_for_status().text
    html = re.sub(r'<meta\s+(property|name)="(og|twitter):[^>]*>\s*', "", html)  # they name other hosts
    html = html.replace('<link rel="manifest" href="/manifest.json" />', HEAD)
    # The page can be reached under several addresses, for example behind a proxy.
    html = html.replace(f'"{ROOT}"', 'new URL(".", location).href.slice(0, -1)')
    return {"html": html, "theme": client.get("/studio/theme.css").raise_for_status().text}


if __name__ == "__main__":
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.nice(5)  # running speech comes first
    json.dump(render(), sys.stdout)
