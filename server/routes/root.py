"""GET /: the paths of this server; browsers are sent to the studio, or to the documentation."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from starlette.responses import Response

from server.service import ServiceDependency
from server.studio import STUDIO, is_installed

router = APIRouter(tags=["Health"])


class Places(BaseModel):
    """Paths of this server."""

    name: str
    studio: str | None
    documentation: str
    openapi: str
    live: str
    ready: str
    metrics: str
    api: list[str]


@router.get("/", response_model=Places)
async def root(request: Request, service: ServiceDependency) -> Places | Response:
    """List the paths of this server. A browser is sent to the studio if there is one, or to the documentation."""
    studio = STUDIO if service.settings.studio and is_installed() else None
    if "text/html" in request.headers.get("Accept", ""):
        return RedirectResponse(f".{studio}/" if studio else "./docs", headers={"Vary": "Accept"})
    paths = request.app.openapi()["paths"]
    return Places(
        name="Fast-Spark",
        studio=studio,
        documentation="/docs",
        openapi="/openapi.json",
        live="/health/live",
        ready="/health/ready",
        metrics="/metrics",
        api=[path for path in paths if path.startswith("/v1/")],
    )
