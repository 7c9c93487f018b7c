"""GET /metrics, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.service import ServiceDependency

router = APIRouter(tags=["Health"])


@router.get("/metrics", response_class=Response)
async def metrics(service: ServiceDependency) -> Response:
    """Return counters and histograms in Prometheus' text format."""
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)
