"""Clients that stop sending or reading: their connections are closed. Slow clients are served."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from engine.tokens.vocabulary import Vocabulary
from tests.server.conftest import Server, serving
from tests.server.fakes import BODY, Fakes, metrics, patient, ready, set_event
from tests.server.uploads import sound
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]
SPEECH = b"POST /v1/audio/speech HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
UPLOAD = b"POST /v1/audio/voices HTTP/1.1\r\nHost: here\r\nContent-Type: multipart/form-data; boundary=X\r\n"
PART = b'--X\r\nContent-Disposition: form-data; name="audio_sample"; filename="a.wav"\r\n\r\nRIFF'
LIVE = b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for a second or two only."""
    settings = patient(header_seconds=1, stall_seconds=2, keep_alive_seconds=1)
    with ready_server(Fakes(vocabulary, tmp_path_factory.mktemp("impatient"), settings)) as running:
        yield running


@pytest.fixture(scope="module")
def stalling(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for three seconds: longer than a busy host stops a client that pauses often and shortly."""
    with ready_server(Fakes(vocabulary, tmp_path_factory.mktemp("stalling"), patient(stall_seconds=3))) as running:
        yield running


@contextmanager
def ready_server(fakes: Fakes) -> Iterator[Server]:
    with serving(fakes.app) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        wait_until(lambda: ready(http))
        yield running


def connect(server: Server) -> socket.socket:
    address = httpx.URL(server.url)
    return socket.create_connection((address.host, address.port or 80), timeout=60)


def until_closed(client: socket.socket) -> bytes:
    """All that the server sends until it closes the connection."""
    answer = b""
    while data := client.recv(65_536):
        answer += data
    return answer


def error(answer: bytes) -> tuple[int, str]:
    """The status of an answer, and its message in OpenAI's shape."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", None),
        (LIVE[:5], "The request's headers did not arrive in time."),
        (SPEECH, "The request's headers did not arrive in time."),
        (SPEECH + b"Content-Length: 100\r\n\r\n", "The request's body did not arrive in time."),
        (SPEECH + b'Content-Length: 100\r\n\r\n{"model": ', "The request's body did not arrive in time."),
        (SPEECH + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", "The request's body did not arrive in time."),
        (UPLOAD + b"Content-Length: 90000\r\n\r\n" + PART, "The request's body did not arrive in time."),
    ],
    ids=["nothing", "half a line", "half a header", "no body", "half a body", "half a chunk", "half an upload"],
)
def test_who_stops_in_the_middle_is_let_go(impatient: Server, sent: bytes, message: str | None) -> None:
    with connect(impatient) as client:
        client.sendall(sent)
        answer = until_closed(client)
    assert answer == b"" if message is None else error(answer) == (408, message)


@pytest.mark.parametrize("drop", [b"a", b"X-Header: a\r\n"])
def test_headers_that_drip_in_are_let_go(impatient: Server, drop: bytes) -> None:
    with connect(impatient) as client:
        client.sendall(LIVE[:-2])
        client.settimeout(0.1)
        answer = b""
        for _ in range(200):
            try:
                client.sendall(drop)
                answer += client.recv(65_536)
                break
            except TimeoutError:
                continue
    assert error(answer)[0] == 408


@pytest.mark.parametrize(
    "sent",
    [
        LIVE,
        LIVE + LIVE[:10],
        LIVE + b"\r\n",
        SPEECH.replace(b"speech", b"nothing") + b"Content-Length: 100\r\n\r\n{",  # it is answered without the body
        SPEECH.replace(b"speech", b"nothing") + b"Content-Length: 2\r\n\r\n{}" + LIVE[:10],
    ],
)
def test_who_says_no_more_after_an_answer_is_let_go(impatient: Server, sent: bytes) -> None:
    with connect(impatient) as client:
        client.sendall(sent)
        assert until_closed(client).startswith(b"HTTP/1.1 ")


def test_a_slow_upload_is_taken(stalling: Server) -> None:
    form = httpx.Request("POST", stalling.url, data={"name": "Slow"}, files={"audio_sample": ("a.wav", sound())})
    body = form.read()
    pause = threading.Event()

    def slowly() -> Iterator[bytes]:
        for start in range(0, len(body), 4000):
            yield body[start : start + 4000]
            pause.wait(0.2)  # longer in all than any limit

    headers = {"Content-Type": form.headers["content-type"]}
    answer = httpx.post(f"{stalling.url}/v1/audio/voices", content=slowly(), headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def test_a_body_that_drips_in_is_let_go(impatient: Server) -> None:
    with connect(impatient) as client:
        client.sendall(SPEECH + b"Content-Length: 100000\r\n\r\n")
        client.settimeout(0.1)
        answer = b""
        for _ in range(300):
            try:
                client.sendall(b"x")
                answer += client.recv(65_536)
                break
            except TimeoutError:
                continue
    assert error(answer) == (408, "The request's body did not arrive in time.")


def test_an_answer_may_take_longer_than_any_of_these_limits(
    vocabulary: Vocabulary, tmp_path: Path, serve: Serve
) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(header_seconds=2, stall_seconds=2))
    server = serve(fakes.app)
    with httpx.Client(base_url=server.url, timeout=60) as http:
        wait_until(lambda: ready(http))
        http.post("/v1/audio/speech", json=BODY)
        fakes.language_model.gate.clear()
        threading.Timer(3, set_event, (fakes, fakes.language_model.gate)).start()
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200


def ask_and_read_little(server: Server, body: dict[str, object]) -> socket.socket:
    """A client that has asked for speech, and whose TCP takes a few KB at once."""
    content = json.dumps(body).encode()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((httpx.URL(server.url).host, httpx.URL(server.url).port))
    client.sendall(SPEECH + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    assert client.recv(15) == b"HTTP/1.1 200 OK"
    return client


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system's TCP has no time limit of its own")
def test_who_reads_nothing_of_a_long_answer_loses_the_place(
    vocabulary: Vocabulary, tmp_path: Path, serve: Serve
) -> None:
    server = serve(Fakes(vocabulary, tmp_path, patient(stall_seconds=2, max_requests=1)).app)
    with httpx.Client(base_url=server.url, timeout=60) as http:
        wait_until(lambda: ready(http))
        long = BODY | {"input": "A sentence. " * 300, "max_tokens": 3000, "sample_rate": 48_000}
        with ask_and_read_little(server, long):
            assert http.post("/v1/audio/speech", json=BODY).status_code == 200  # it waited for the place
        assert metrics(http)["requests_total cancelled"] == 1


def test_who_reads_slowly_gets_all(stalling: Server) -> None:
    pause = threading.Event()
    received = 0
    with ask_and_read_little(stalling, BODY | {"max_tokens": 50}) as client:
        while data := client.recv(4096):
            received += len(data)
            pause.wait(0.1)  # longer in all than any limit
    assert received > 3 * 50 * 480 * 2


def test_there_are_no_more_connections_than_are_allowed(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    server = serve(Fakes(vocabulary, tmp_path, patient(max_connections=3)).app)
    with ExitStack() as stack:
        held = [stack.enter_context(connect(server)) for _ in range(3)]
        for client in held:
            client.sendall(LIVE)
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        with connect(server) as one_more:
            assert error(until_closed(one_more)) == (503, "The server has too many connections; try again later.")
        held[0].close()
        held[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        held[1].close()
        answers = []

        def served() -> bool:
            with connect(server) as client:
                client.sendall(LIVE)
                answers.append(client.recv(15))
            return answers[-1] == b"HTTP/1.1 200 OK"

        wait_until(served)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        LIVE[:-2] + b"X: " + b"a" * 99_999,
    ],
    ids=["TLS", "no host", "large headers"],
)
def test_what_is_not_http_is_answered_and_let_go(stalling: Server, sent: bytes) -> None:
    with connect(stalling) as client:
        client.sendall(sent)
        assert error(until_closed(client)) == (400, "Invalid HTTP request received.")
