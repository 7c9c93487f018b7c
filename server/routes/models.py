"""GET /v1/models: the model that is served."""

from __future__ import annotations

from fastapi import APIRouter

from server.schemas import Model, ModelList
from server.service import Service, ServiceDependency

router = APIRouter(prefix="/models", tags=["Models"])


@router.get("")
async def list_models(service: ServiceDependency) -> ModelList:
    """The served model, by its own name."""
    return ModelList(data=[_model(service, service.settings.model_name)])


@router.get("/{model}")
async def retrieve_model(model: str, service: ServiceDependency) -> Model:
    """The served model; OpenAI's names for speech models are understood too."""
    service.check_model(model)
    return _model(service, model)


def _model(service: Service, name: str) -> Model:
    return Model(id=name, created=service.started_at, owned_by="fast-spark")
