"""The servers of a language model: which one is asked, what is done when one fails, and when it is asked again."""

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

DONE = "[DONE]"  # how the streams of vLLM and SGLang end


class ServerFailed(Exception):
    """A server did not do its work: another one may. `answered` is set where it said so itself."""

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class RequestRejected(Exception):
    """A server does not take the request, and no other would."""


class Server:
    """One server, as this process sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.running = 0  # requests of ours
        self.failure: str | None = None  # why it is left alone now


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
            limits=httpx2.Limits(max_keepalive_connections=0),  # a server may close one as it is used again
            trust_env=False,  # no proxy
        )

    @property
    def failure(self) -> str | None:
        """Why none of them can be asked; None as long as one can."""
        if any(server.failure is None for server in self._servers):
            return None
        reasons = "; ".join(f"{server.url}: {server.failure}" for server in self._servers)
        return f"No server of the language model can be used now ({reasons})."

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[TokenChunk, None]:
        """What the least busy server answers; closing the generator ends the request there.

        If a server fails before it has said anything, another is asked; it is left alone until it is well. Raises
        BackendFailed if there is none left, if one fails later, or if the request is refused.
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
        raise BackendFailed(self.failure or f"No server of the language model answered ({reasons}).")

    async def close(self) -> None:
        """Close all connections; streams that still run fail."""
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        await self._http.aclose()

    def _least_busy(self, tried: dict[Server, ServerFailed]) -> Server | None:
        well = [server for server in self._servers if server.failure is None and server not in tried]
        return min(well, key=lambda server: server.running, default=None)

    async def _ask(self, server: Server, request: CompletionRequest) -> AsyncGenerator[TokenChunk, None]:
        """What one server answers; raises ServerFailed or RequestRejected."""
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
            raise ServerFailed(f"it has said nothing for {self._config.token_seconds:g} seconds") from error
        finally:
            server.running -= 1

    async def _send(self, url: str, body: Json) -> httpx2.Response:
        """The beginning of the answer, if it is one."""
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
        """The next event's data; None at the end."""
        async with asyncio.timeout(self._config.token_seconds):
            event = await anext(events, None)
        return None if event is None or event.data == DONE else event.data

    def _mark_unhealthy(self, server: Server, error: ServerFailed) -> None:
        """Ask the server for nothing but its health, until that is good."""
        if server.failure is None:
            logger.warning("The language model's server %s failed: %s", server.url, error)
            server.failure = str(error)
            probe = asyncio.create_task(self._wait_for_health(server, at_once=error.answered))
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)

    async def _wait_for_health(self, server: Server, *, at_once: bool) -> None:
        """Return when the server says that it is well. One that said nothing may say so while it hangs: not at once."""
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
        logger.info("The language model's server %s is well again.", server.url)


def _token_chunk(dialect: Dialect, data: str) -> TokenChunk:
    """The chunk in an event; raises ServerFailed or RequestRejected for an error or an unknown event."""
    try:
        event = json.loads(data)
        if "error" not in event:
            return dialect.read(event)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ServerFailed(f"it does not answer as expected, but {data[:100]!r}: is `kind` right?") from error
    code = event["error"].get("code") if isinstance(event["error"], dict) else None
    message = _message(data.encode())
    raise ServerFailed(message, answered=True) if isinstance(code, int) and code >= 500 else RequestRejected(message)


def _message(body: bytes, status: int | None = None) -> str:
    """What a server says that is wrong, in one line."""
    try:
        content = json.loads(body)
        error = content.get("error", content)
        text = str(error.get("message") or error.get("detail") or error if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        text = body[:300].decode(errors="replace")
    return " ".join([str(status or ""), *text.split()]).strip()
