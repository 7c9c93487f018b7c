"""Java's HttpClient offers an upgrade to HTTP/2. The server reads its body and answers with HTTP/1.1."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from engine.tokens.vocabulary import Vocabulary
from tests.server.conftest import Server, serving
from tests.server.fakes import BODY, Fakes, ready
from tests.waiting import wait_until

CONTENT = json.dumps(BODY).encode()
BYTES = 30 * 480 * 2  # of thirty tokens at 24 kHz
HEAD = b"POST /v1/audio/speech HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
SETTINGS = b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n"
TAIL = b"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n\r\n"
# As OpenJDK 17.0.15 was seen to send them.
WITH_LENGTH = [HEAD + b"Content-Length: %d\r\nHost: 127.0.0.1:8000\r\n" % len(CONTENT) + SETTINGS + TAIL, CONTENT]
IN_CHUNKS = [
    HEAD + b"Host: 127.0.0.1:8000\r\n" + SETTINGS + b"Transfer-encoding: chunked\r\n" + TAIL,
    b"%x\r\n%b\r\n" % (len(CONTENT), CONTENT),
    b"0\r\n\r\n",
]


@pytest.fixture(scope="module")
def server(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with (
        serving(Fakes(vocabulary, tmp_path_factory.mktemp("java")).app) as running,
        httpx.Client(base_url=running.url, timeout=60) as http,
    ):
        wait_until(lambda: ready(http))
        yield running


@pytest.mark.parametrize("pieces", [WITH_LENGTH, IN_CHUNKS], ids=["with its length", "in chunks"])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_javas_client_sends_is_read(server: Server, pieces: list[bytes], at_once: bool) -> None:
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 80), timeout=60) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [b"".join(pieces)] if at_once else pieces:
            client.sendall(piece)
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            data = client.recv(65_536)
            assert data, answer
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(answer) > BYTES
