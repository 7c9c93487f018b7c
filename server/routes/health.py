"""Whether the process lives, and whether it can speak."""

from __future__ import annotations

from fastapi import APIRouter

from server.errors import NotReady
from server.service import EngineDependency

router = APIRouter(prefix="/health", tags=["Health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "alive"}


@router.get("/ready")
async def ready(engine: EngineDependency) -> dict[str, str]:
    """200 as long as the warm model can answer; before, when it cannot, and at the end, 503 and the reason."""
    if engine.failure:
        raise NotReady(engine.failure)
    return {"status": "ready"}
