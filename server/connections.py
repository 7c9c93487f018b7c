"""Client connections: HTTP/1.1 with h11, and limits on their number and on the time that they wait for a client."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.errors import refuse
from server.settings import Settings


def protocols(settings: Settings) -> dict[str, Any]:
    """Return uvicorn's options for HTTP and WebSockets.

    Messages have the limit of bodies; audio is not compressed. A client that reads as slowly as it plays answers a ping
    late: TCP says whether it is there.
    """
    return {
        "http": ClientConnection,
        "ws": "websockets-sansio",
        "ws_max_size": settings.max_json_bytes,
        "ws_per_message_deflate": False,
        "ws_ping_timeout": None,
    }


SLOWEST_BODY = 500  # bytes per second, averaged over a body


class ClientConnection(H11Protocol):
    """A connection that is closed if the client does not send headers or a body in time, or stops reading.

    uvicorn limits only the time between two requests. h11 reads the body of a request that offers an upgrade to
    HTTP/2, as Java's client does; httptools loses this body.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings: Settings = cast(FastAPI, config.app).state.service.settings
        self.timeout_keep_alive = self._settings.keep_alive_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._awaited: type | None = None  # IDLE: headers, SEND_BODY: a body, None: no input
        self._since = 0.0  # when it began, in the loop's seconds
        self._received = 0  # bytes since then

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, unless there are too many connections."""
        super().connection_made(transport)
        connected = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT") and connected.family != socket.AF_UNIX:
            # Closes connections without acknowledgements, or with a closed window. Slow readers are not affected.
            milliseconds = round(1000 * self._settings.stall_seconds)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        if len(self.connections) > self._settings.max_connections:
            self._refuse(503, "The server has too many connections; try again later.")
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process the data, and wait for the next input."""
        self._received += len(data)
        super().data_received(data)
        if self.transport.get_protocol() is self:
            self._wait()
        else:  # a WebSocket has the connection now
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Continue with the next request. uvicorn limits the time until it begins."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Respond to input that is not HTTP."""
        self._refuse(400, msg)

    def cut_off(self) -> bool:
        """Abort the running request; returns whether there was one."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:
            self._refuse(503, "The server is shutting down.")
        return answering

    def _should_upgrade(self) -> bool:
        """Upgrade to WebSocket only, without uvicorn's two warnings. An offer of HTTP/2 is answered with HTTP/1.1."""
        return self._get_upgrade() == b"websocket"

    def _wait(self) -> None:
        """Limit the time for the next input.

        Headers must be complete within their limit. A body has no total limit, but must not be slower than
        SLOWEST_BODY.
        """
        owed = self.conn.their_state if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) else None
        now = self.loop.time()
        if owed is not self._awaited:
            self._awaited, self._since, self._received = owed, now, 0
        elif owed is h11.IDLE and self._timer:
            return
        self._stop_timer()
        if owed is h11.IDLE:
            self._timer = self.loop.call_later(self._settings.header_seconds, self._give_up)
        elif owed is h11.SEND_BODY:
            slowest = self._since + self._received / SLOWEST_BODY
            self._timer = self.loop.call_at(min(now, slowest) + self._settings.stall_seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _stop_waiting(self) -> None:
        self._stop_timer()
        self._awaited = None

    def _give_up(self) -> None:
        """Close the connection, with a response if the client has begun to send."""
        if self.flow.read_paused:  # the app has not read the body yet
            self._stop_waiting()
            self._wait()
        elif self._awaited is h11.SEND_BODY:
            self._refuse(408, "The request's body did not arrive in time.")
        elif self.conn.trailing_data[0]:
            self._refuse(408, "The request's headers did not arrive in time.")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Respond instead of the app, if no response has begun, and close the connection."""
        self._stop_waiting()
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the app's further output is not sent
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = refuse(status, message, {"Connection": "close"})
            for event in (
                h11.Response(status_code=status, headers=answer.raw_headers),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        self.transport.close()
