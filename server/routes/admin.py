"""/admin: unloads the models, and loads them again."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from server.service import ServiceDependency

router = APIRouter(prefix="/admin", tags=["Admin"])


class SleepState(BaseModel):
    """Whether the models are loaded."""

    status: Literal["ready", "asleep"]


@router.post("/sleep")
async def sleep(service: ServiceDependency) -> SleepState:
    """Unload the models, so that their memory is free. The next request loads them again, and waits for that."""
    await service.sleep()
    return SleepState(status="asleep")


@router.post("/wake")
async def wake(service: ServiceDependency) -> SleepState:
    """Load the models again, if they are unloaded; respond when they are ready."""
    await service.engine.wake()
    return SleepState(status="ready")
