"""JSON bodies with a limit on the number of fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

MOST_FIELDS = 100  # of one object; validation takes time for each unknown field


class JsonRoute(APIRoute):
    """A route that reads its body as a BoundedRequest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler, which gets a BoundedRequest."""
        handle = super().get_route_handler()

        async def handle_bounded(request: Request) -> Response:
            return await handle(BoundedRequest(request.scope, request.receive))

        return handle_bounded


class BoundedRequest(Request):
    """A request that refuses objects with too many fields before they are validated."""

    async def json(self) -> Any:  # noqa: ANN401  as Starlette has it
        """Return the parsed body; raises HTTPException if an object has too many fields."""
        return bounded_json(await self.body())


def bounded_json(text: str | bytes) -> Any:  # noqa: ANN401  as json has it
    """Parse JSON; raises HTTPException if an object has too many fields, and ValueError if it is not JSON."""
    return json.loads(text, object_pairs_hook=_object)


def _object(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(fields) > MOST_FIELDS:
        raise HTTPException(400, f"an object in it has more than {MOST_FIELDS} fields")
    return dict(fields)
