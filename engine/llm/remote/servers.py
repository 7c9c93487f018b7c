"""The servers of a language model: chooses the least busy one, and avoids one that failed until it is healthy."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import httpx2

from engine.config import RemoteConfig
from engine.errors import BackendFailed
from engine.llm.remote.dialects import CompletionRequest, Dialect, Json, TokenChunk

logger = logging.getLogger(__name__)

END_OF_STREAM = "[DONE]"  # the last event of vLLM and SGLang


class ServerFailed(Exception):
    """A server failed, and another one may succeed. `answered` is set if the server reported the failure itself."""

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class RequestRejected(Exception):
    """A server rejected the request, as every other one would."""


class Server:
    """One server, as this process sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.running = 0  # requests of this process
        self.failure: str | None = None  # why no requests are sent to it now


class Servers:
    """All servers of one language model. Belongs to one event loop."""

    def __init__(self, config: RemoteConfig, dialect: Callable[[], Dialect]) -> None:
        self._config, self._dialect = config, dialect
        self._servers = [Server(url) for url in config.urls]
        self._fields = {"model": config.model} if config.model else {}
        self._probes: set[asyncio.Task[None]] = set()
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {config.api_key.get_secret_value()}"} if config.api_key else {},
            timeout=httpx2.Timeout(None, connect=config.connect_seconds),  # `_in_time` bounds the rest
            limits=httpx2.Limits(max_keepalive_connections=0),  # a server may close one just as it is reused
            trust_env=False,  # no proxy
        )

    @property
    def failure(self) -> str | None:
        """Why no server can be used; None as long as one can."""
        if any(server.failure is None for server in self._servers):
            return None
        reasons = "; ".join(f"{server.url}: {server.failure}" for server in self._servers)
        return f"None of the language model's servers can be used now ({reasons})."

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[TokenChunk, None]:
        """Yield the answer of the least busy server. Closing the generator aborts the request there.

        If a server fails before its first chunk, the request goes to another one. A server that failed gets no
        requests until it is healthy. Raises BackendFailed if no server is left, if one fails after its first chunk,
        or if the request is rejected.
        """
        tried: dict[Server, ServerFailed] = {}
        while server := self._least_busy(tried):
            begun = False
            try:
                async with aclosing(self._ask(server, request)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except RequestRejected as error:
                raise BackendFailed(f"The language model's server {server.url} refused the request: {error}") from error
            except ServerFailed as error:
                self._mark_unhealthy(server, error)
                tried[server] = error
                if begun:
                    raise BackendFailed(f"The language model's server {server.url} failed: {error}") from error
        reasons = "; ".join(f"{server.url}: {error}" for server, error in tried.items())
        raise BackendFailed(self.failure or f"None of the language model's servers answered ({reasons}).")

    async def close(self) -> None:
        """Close all connections; streams that still run raise BackendFailed."""
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        await self._http.aclose()

    def _least_busy(self, tried: dict[Server, ServerFailed]) -> Server | None:
        healthy = [server for server in self._servers if server.failure is None and server not in tried]
        return min(healthy, key=lambda server: server.running, default=None)

    async def _ask(self, server: Server, request: CompletionRequest) -> AsyncGenerator[TokenChunk, None]:
        """Yield the answer of one server; raises ServerFailed or RequestRejected."""
        dialect = self._dialect()
        body = dialect.body(request) | self._fields
        server.running += 1
        try:
            response = await self._send(server.url + dialect.path, body)
            try:
                events = aiter(httpx2.EventSource(response))
                while event := await self._next(events):
                    yield _token_chunk(dialect, event)
            finally:
                await response.aclose()
        except httpx2.HTTPError as error:
            raise ServerFailed(str(error) or type(error).__name__) from error
        except TimeoutError as error:
            raise ServerFailed(f"it has sent nothing for {self._config.token_seconds:g} seconds") from error
        finally:
            server.running -= 1

    async def _send(self, url: str, body: Json) -> httpx2.Response:
        """Send the request; return the response once its headers report success."""
        async with asyncio.timeout(self._config.token_seconds):
            response = await self._http.send(self._http.build_request("POST", url, json=body), stream=True)
            if response.is_success:
                return response
            try:
                message = _message(await response.aread(), response.status_code)
            finally:
                await response.aclose()
        if response.is_server_error or response.status_code in (408, 429):
            raise ServerFailed(message, answered=True)
        raise RequestRejected(message)

    async def _next(self, events: AsyncIterator[httpx2.ServerSentEvent]) -> str | None:
        """The data of the next event; None at the end of the stream."""
        async with asyncio.timeout(self._config.token_seconds):
            event = await anext(events, None)
        return None if event is None or event.data == END_OF_STREAM else event.data

    def _mark_unhealthy(self, server: Server, error: ServerFailed) -> None:
        """Send the server no requests until its /health reports success."""
        if server.failure is None:
            logger.warning("The language model's server %s failed: %s", server.url, error)
            server.failure = str(error)
            probe = asyncio.create_task(self._wait_for_health(server, at_once=error.answered))
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)

    async def _wait_for_health(self, server: Server, *, at_once: bool) -> None:
        """Poll /health until it succeeds: not `at_once` if the server may hang, since /health can succeed even then."""
        while server.failure is not None:
            if not at_once:
                await asyncio.sleep(self._config.retry_seconds)
            at_once = False
            try:
                async with asyncio.timeout(self._config.connect_seconds):
                    response = await self._http.get(f"{server.url}/health")
                server.failure = None if response.is_success else _message(response.content, response.status_code)
            except (httpx2.HTTPError, TimeoutError) as error:
                server.failure = str(error) or type(error).__name__
        logger.info("The language model's server %s is healthy again.", server.url)


def _token_chunk(dialect: Dialect, data: str) -> TokenChunk:
    """Parse an event; raises ServerFailed or RequestRejected if it is an error or does not follow the dialect."""
    try:
        event = json.loads(data)
        if "error" not in event:
            return dialect.read(event)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ServerFailed(f"it answers {data[:100]!r}, which is not expected; check `kind`") from error
    code = event["error"].get("code") if isinstance(event["error"], dict) else None
    message = _message(data.encode())
    raise ServerFailed(message, answered=True) if isinstance(code, int) and code >= 500 else RequestRejected(message)


def _message(body: bytes, status: int | None = None) -> str:
    """A server's error message, in one line."""
    try:
        content = json.loads(body)
        error = content.get("error", content)
        text = str(error.get("message") or error.get("detail") or error if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        text = body[:300].decode(errors="replace")
    return " ".join([str(status or ""), *text.split()]).strip()
