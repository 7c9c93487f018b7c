"""/studio: a page where a person makes voices, hears them, and sees what the server does.

gradio renders the page in a process of its own, which ends then. The server never imports gradio, and has none of its
endpoints. In the browser, the page calls the HTTP API as any other client does.
"""

from server.studio.routes import STUDIO, is_installed, studio_routes

__all__ = ["STUDIO", "is_installed", "studio_routes"]
