"""Liveness and readiness probes."""

from __future__ import annotations

from fastapi import APIRouter

from server.errors import NotReady
from server.service import EngineDependency

router = APIRouter(prefix="/health", tags=["Health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """Respond with 200 while the process runs."""
    return {"status": "alive"}


@router.get("/ready")
async def ready(engine: EngineDependency) -> dict[str, str]:
    """Respond with 200 if the model is warm, or unloaded until the next request (`asleep`).

    While it starts, after a failure and at shutdown: 503 and the reason.
    """
    if engine.failure:
        raise NotReady(engine.failure)
    return {"status": "asleep" if engine.asleep else "ready"}
