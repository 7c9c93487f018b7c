"""JSON bodies whose objects have no more fields than a request can mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

MOST_FIELDS = 100  # of one object; each that is unknown costs the time of an error


class JsonRoute(APIRoute):
    """A route that reads its body so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with a request of this kind."""
        handle = super().get_route_handler()

        async def handle_bounded(request: Request) -> Response:
            return await handle(BoundedRequest(request.scope, request.receive))

        return handle_bounded


class BoundedRequest(Request):
    """A request whose body is refused before it is validated if an object in it has too many fields."""

    async def json(self) -> Any:  # noqa: ANN401  as Starlette has it
        """The body; raises HTTPException."""
        return json.loads(await self.body(), object_pairs_hook=_object)


def _object(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(fields) > MOST_FIELDS:
        raise HTTPException(400, f"an object in it has more than {MOST_FIELDS} fields")
    return dict(fields)
