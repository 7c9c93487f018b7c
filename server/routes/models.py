"""/v1/models and /v1/audio/models: the served model."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path

from server.schemas import AudioModelList, Model, ModelList, ModelName
from server.service import Service, ServiceDependency

router = APIRouter(tags=["Models"])


@router.get("/models")
async def list_models(service: ServiceDependency) -> ModelList:
    """List the served model."""
    return ModelList(data=[_model(service, service.settings.model_name)])


@router.get("/models/{model:path}")
async def retrieve_model(model: Annotated[str, Path(max_length=256)], service: ServiceDependency) -> Model:
    """Return the served model. Its name on a hub and the names of OpenAI's speech models are accepted too."""
    service.check_model(model)
    return _model(service, model)


@router.get("/audio/models")
async def list_audio_models(service: ServiceDependency) -> AudioModelList:
    """List the served model, also in `models`, the field that Open WebUI reads."""
    name = service.settings.model_name
    return AudioModelList(data=[_model(service, name)], models=[ModelName(id=name, name=name)])


@router.get("/test")
async def voices_are_listed() -> dict[Literal["status"], Literal["ok"]]:
    """Kokoro-FastAPI's probe. If it succeeds, wyoming-openai reads the voices from /v1/audio/voices."""
    return {"status": "ok"}


def _model(service: Service, name: str) -> Model:
    return Model(id=name, created=service.started_at, owned_by="fast-spark", languages=service.languages)
