"""GET /: the paths of this server."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

router = APIRouter(tags=["Health"])


class Places(BaseModel):
    """Paths of this server."""

    name: str
    documentation: str
    openapi: str
    live: str
    ready: str
    metrics: str
    api: list[str]


@router.get("/")
async def root(request: Request) -> Places:
    """List the paths of this server."""
    paths = request.app.openapi()["paths"]
    return Places(
        name="Fast-Spark",
        documentation="/docs",
        openapi="/openapi.json",
        live="/health/live",
        ready="/health/ready",
        metrics="/metrics",
        api=[path for path in paths if path.startswith("/v1/")],
    )
