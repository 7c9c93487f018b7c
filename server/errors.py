"""The table that maps errors to an HTTP status and OpenAI's error body."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from engine import (
    BackendFailed,
    ConsentRequired,
    EngineClosed,
    EngineError,
    InvalidRequest,
    NothingToSay,
    NotOwner,
    StoreFailed,
    UnknownConsent,
    UnknownVoice,
    VoiceExists,
)
from server.admission import DeadlineExceeded, Overloaded
from server.rate_limits import LimitReached
from server.schemas import Error, ErrorResponse

logger = logging.getLogger(__name__)

INVALID = "invalid_request_error"
FAILED = "server_error"
LONGEST_MESSAGE = 1000  # characters
LONGEST_PARAM = 100


class UnknownModel(EngineError):
    """The request asks for a model that is not served."""

    def __init__(self, model: str, served: str) -> None:
        super().__init__(f"The model {model!r} does not exist; this server has {served!r}.")


class NotReady(EngineError):
    """The engine is starting, is shutting down, or has failed."""


class Busy(EngineError):
    """The models cannot be unloaded now."""

    def __init__(self) -> None:
        super().__init__("Requests are running or waiting; the models can be unloaded when they have ended.")


HTTP_ERRORS: dict[type[EngineError], tuple[int, str, str | None, str | None]] = {
    # status, type, param, code
    InvalidRequest: (400, INVALID, None, None),
    NothingToSay: (400, INVALID, None, "nothing_to_say"),
    UnknownVoice: (400, INVALID, "voice", "voice_not_found"),
    UnknownConsent: (400, INVALID, "consent", "consent_not_found"),
    ConsentRequired: (403, INVALID, "voice", "consent_required"),
    NotOwner: (403, INVALID, "voice_id", "not_owner"),
    VoiceExists: (409, INVALID, "name", "voice_exists"),
    Busy: (409, INVALID, None, "busy"),
    UnknownModel: (404, INVALID, "model", "model_not_found"),
    NotReady: (503, FAILED, None, "not_ready"),
    EngineClosed: (503, FAILED, None, "not_ready"),
    Overloaded: (429, "rate_limit_error", None, "overloaded"),
    LimitReached: (429, "rate_limit_error", None, "rate_limit_exceeded"),
    StoreFailed: (503, FAILED, None, "store_failed"),
    DeadlineExceeded: (504, FAILED, None, "deadline_exceeded"),
    BackendFailed: (500, FAILED, None, "backend_failed"),
}


HINTS: dict[type[EngineError], str] = {
    UnknownVoice: "GET /v1/audio/voices lists all voices.",
    UnknownConsent: "GET /v1/audio/voice_consents lists all consents.",
    ConsentRequired: "POST /v1/audio/voice_consents takes the recording.",
}
"""The route that helps with an error. The engine's messages do not name routes."""


def error_body(error: EngineError) -> tuple[int, Error]:
    """Return the status and the body for an engine error."""
    status, kind, param, code = HTTP_ERRORS.get(type(error), (500, FAILED, None, None))
    if isinstance(error, InvalidRequest):
        param = error.param
    message = " ".join(filter(None, (str(error), HINTS.get(type(error)))))
    return status, Error(message=message, type=kind, param=param, code=code)


def retry_after(error: EngineError) -> dict[str, str] | None:
    """Return the Retry-After header, or None if a retry would not help."""
    if isinstance(error, Overloaded | LimitReached):
        return {"Retry-After": str(error.retry_after)}
    return {"Retry-After": "5"} if isinstance(error, NotReady | EngineClosed | StoreFailed) else None


def respond(status: int, error: Error, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a response with OpenAI's error body."""
    return JSONResponse(ErrorResponse(error=bounded(error)).model_dump(), status, headers)


def bounded(error: Error) -> Error:
    """The error with its message and parameter cut, if they are long: they can quote the request."""
    param = error.param and shorten(error.param, LONGEST_PARAM)
    return error.model_copy(update={"message": shorten(error.message, LONGEST_MESSAGE), "param": param})


def shorten(text: str, length: int) -> str:
    """The text, or its beginning if it is longer."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def refuse(status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None) -> JSONResponse:
    """Return an error response that depends on the status and the message only."""
    kind = FAILED if status >= 500 else INVALID
    return respond(status, Error(message=message, type=kind, param=None, code=code), headers)


def unauthorised() -> JSONResponse:
    """The response to a request without a valid key."""
    message = "Send one of this server's API keys: Authorization: Bearer KEY."
    return refuse(401, message, {"WWW-Authenticate": "Bearer"}, code="invalid_api_key")


def install(app: FastAPI) -> None:
    """Register handlers that answer every error of this app with OpenAI's error body."""

    @app.exception_handler(EngineError)
    async def engine_error(request: Request, error: EngineError) -> JSONResponse:
        status, body = error_body(error)
        for kind, name in ((UnknownVoice, "voice_id"), (UnknownConsent, "consent_id")):
            if isinstance(error, kind) and name in request.path_params:
                status, body.param = 404, name
        if status >= 500 and not isinstance(error, NotReady | EngineClosed):
            trace = None if isinstance(error, StoreFailed) else error  # its message has the database's reason
            logger.error("%s %s failed: %s", request.method, request.url.path, error, exc_info=trace)
        return respond(status, body, retry_after(error))

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # for access logs only, as in nginx: the client is disconnected

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return respond(400, invalid_field(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        message = {
            400: f"The body cannot be read: {error.detail}",
            404: f"There is no {request.method} {request.url.path} here.",
            405: f"{request.url.path} does not take {request.method}.",
        }.get(error.status_code, str(error.detail))
        return refuse(error.status_code, message, dict(error.headers) if error.headers else None)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return refuse(500, "The server failed to answer this request. Its log has the reason.")


def invalid_field(error: dict[str, Any]) -> Error:
    """Convert one of pydantic's validation errors."""
    path = [str(part) for part in error["loc"][1:]]  # without "body", "path" or "query"
    param = path[0] if path else None
    match error["type"]:
        case "json_invalid":
            param, message = None, f"The body is not JSON: {error['ctx']['error']}."
        case "missing" if not path:
            message = "The body is empty; send a JSON object, with Content-Type: application/json."
        case "missing":
            message = f"Missing required parameter: {'.'.join(path)!r}."
        case "value_error" if "UploadFile" in error["msg"]:
            message = f"Invalid {'.'.join(path)!r}: send it as a file, with a file name."
        case "extra_forbidden":
            message = f"Unknown parameter: {'.'.join(path)!r}."
        case "string_unicode" if not path:
            message = "A name of a field is not valid Unicode: it has a lone surrogate."
        case _ if not path:
            message = "The body must be a JSON object, sent with Content-Type: application/json."
        case _:
            message = f"Invalid {'.'.join(path)!r}: {error['msg']}."
    return Error(message=message, type=INVALID, param=param, code=None)
