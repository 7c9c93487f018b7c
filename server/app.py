"""The FastAPI application."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPBearer

from engine import Observer, SpeechEngine
from server import errors
from server.auth import Authentication, Keys
from server.body_limit import BodyLimit
from server.methods import Methods
from server.routes import admin, consents, flashtts, health, metrics, models, root, speech, text, voice_files, voices
from server.schemas import ErrorResponse
from server.service import Service
from server.settings import Settings
from server.speech_events import WARNING_HEADER
from server.studio import STUDIO, studio_routes
from server.watchdog import watched

SAMPLE_AS_TEXT = 2**20  # bytes of a form with a sample in base64; also the limit for a field of a multipart form
MULTIPART_OVERHEAD = 64 * 1024  # bytes of an upload in addition to the file


def is_request_id(value: str) -> bool:
    """Whether a client's X-Request-Id is accepted: it must be short, and safe in a header and a log."""
    return re.fullmatch(r"[\w.:-]{1,128}", value, re.ASCII) is not None


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Add the middleware. The last one added runs first."""
    open_paths = ["/", "/health/live", "/health/ready"]
    open_paths += ["/docs", "/openapi.json"] if settings.open_docs else []
    open_paths += ["/metrics"] if settings.open_metrics else []
    by_type = {"multipart/form-data": settings.max_upload_bytes + MULTIPART_OVERHEAD}
    if settings.flashtts:
        by_type["application/x-www-form-urlencoded"] = SAMPLE_AS_TEXT
    app.add_middleware(BodyLimit, by_type=by_type, otherwise=settings.max_json_bytes)
    app.add_middleware(Methods, routes=app.routes)
    app.add_middleware(
        Authentication,
        keys=Keys(settings.keys()),
        open_paths=tuple(open_paths),
        open_folders=(STUDIO,),
        origins=settings.cors_origins,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=[
                *("Retry-After", "X-Request-Id", "X-Warning", WARNING_HEADER),
                *("X-Ignored-Elements", "X-Ignored-Fields"),
            ],
        )
    app.add_middleware(CorrelationIdMiddleware, header_name="X-Request-Id", validator=is_request_id)


def create_app(
    settings: Settings,
    load: Callable[[Observer], SpeechEngine] | None = None,
    on_change: Callable[[Service], None] = lambda service: None,
    *,
    ready_first: bool = False,
) -> FastAPI:
    """Return the app. `load` makes the engine, by default from the settings. See `Service` for `on_change`.

    `ready_first` is whether the app starts only after the engine; else /health/ready says when it is ready.
    """
    load = load or (lambda observer: SpeechEngine.load(settings.engine, observer=observer))
    service = Service(settings, load, on_change)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        with watched(settings.watchdog_seconds, service.summary):
            starting = asyncio.create_task(service.start())
            if ready_first:
                await starting
            yield
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await service.stop()

    app = FastAPI(
        title="Fast-Spark",
        summary="OpenAI-compatible speech from Spark-TTS",
        version=version("fast-spark"),
        lifespan=lifespan,
        redoc_url=None,
        responses={
            "4XX": {"model": ErrorResponse, "description": "Error in the request"},
            "5XX": {"model": ErrorResponse, "description": "Error in the server"},
        },
    )
    app.state.service = service
    errors.install(app)
    _add_middleware(app, settings)
    security = [Security(HTTPBearer(auto_error=False))] if settings.keys() else []  # for the documentation
    for routes in (speech, text, voices, voice_files, consents, models):
        app.include_router(routes.router, prefix="/v1", dependencies=security)
    if settings.flashtts:
        app.include_router(flashtts.router, dependencies=security)
    app.include_router(admin.router, dependencies=security)
    app.include_router(root.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    if settings.studio:
        app.router.routes += studio_routes()
    return app
