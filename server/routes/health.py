"""Whether the process lives, and whether it can speak."""

from __future__ import annotations

from fastapi import APIRouter

from server.service import EngineDependency

router = APIRouter(prefix="/health", tags=["Health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "alive"}


@router.get("/ready")
async def ready(engine: EngineDependency) -> dict[str, str]:
    """200 once the model is warm; before, and while shutting down, 503 and the reason."""
    return {"status": "ready"}
