"""Hundreds of malformed requests, mutated from valid ones with a fixed seed: each gets a response, none a 5xx."""

import json
import random
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from tests.attacks.running import SHORT, Attacked
from tests.server.uploads import sound

BODIES, HEADERS, UPLOADS = 300, 120, 100
JSON = {"Content-Type": "application/json"}
NESTED: Any = "x"
for _ in range(500):
    NESTED = [NESTED]
STRANGE: list[Any] = [None, True, -1, 1e308, "", "x" * 5000, "\0", "\ud800", "../..", [], {}, [[]], {"": {}}, NESTED]
TYPES = [
    "application/json; charset=utf-16",
    "application/json; charset=nothing",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "b" * 5000,
    "text/plain",
    "application/octet-stream",
    "application/xml",
    "/",
    "",
    "application/json\tx",
]


def malformed_body(chance: random.Random) -> bytes:
    """A body that was good."""
    fields: dict[str, Any] = dict(SHORT)
    for _ in range(chance.randint(1, 3)):
        match chance.randrange(4):
            case 0:
                fields.pop(chance.choice(sorted(fields)), None)
                fields = fields or {"x": 1}
            case 1:
                fields[chance.choice(sorted(fields))] = chance.choice(STRANGE)
            case 2:
                fields["".join(chance.choices("abc_[].\0é ", k=chance.randint(0, 12)))] = chance.choice(STRANGE)
            case 3:
                name = chance.choice(sorted(fields))
                fields[name] = {name: fields[name]}
    data = bytearray(json.dumps(fields).encode())
    match chance.randrange(4):
        case 0:
            del data[chance.randrange(len(data)) :]
        case 1:
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        case 2:
            data = data * chance.randint(2, 3)
    return bytes(data)


def malformed_upload(chance: random.Random) -> tuple[bytes, str]:
    """A multipart body that was good, and its type."""
    request = httpx.Request(
        "POST", "http://x", data={"name": "Ada", "scope": "shared"}, files={"audio_sample": ("a.wav", sound(seconds=1))}
    )
    data, content_type = bytearray(request.read()), request.headers["content-type"]
    head = data.index(b"RIFF")
    for _ in range(chance.randint(1, 3)):
        match chance.randrange(6):
            case 0:
                del data[chance.randrange(len(data)) :]
            case 1:
                data[chance.randrange(min(head, len(data) - 1) or 1)] = chance.randrange(256)
            case 2:  # the sample's header
                at = min(head + chance.randrange(44), max(len(data) - 4, 0))
                data[at : at + 4] = chance.randbytes(4)
            case 3:
                at = chance.randrange(len(data))
                data[at:at] = chance.randbytes(chance.randint(1, 5000))
            case 4:
                data = data.replace(b"form-data", chance.choice([b"file", b"form-data; name=name", b"\xff\xfe"]))
            case 5:
                data = data.replace(b"\r\n", chance.choice([b"\n", b"\r", b"\r\n\r\n"]), chance.randint(1, 9))
        if not data:
            data = bytearray(b"-")
    return bytes(data), content_type


def malformed_request(chance: random.Random) -> bytes:
    """HTTP itself, gone wrong."""
    body = json.dumps(SHORT).encode()
    line = chance.choice(
        [
            b"POST /v1/audio/speech HTTP/1.1",
            b"POST /v1/audio/speech HTTP/9.9",
            b"POST /v1/audio/speech",
            b"post /v1/audio/speech HTTP/1.1",
            b"POST /v1/audio/%2e%2e/%00 HTTP/1.1",
            b"POST http://[::1/v1 HTTP/1.1",
            b"GET /v1/audio/voices/" + b"a" * 3000 + b" HTTP/1.1",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
            chance.randbytes(40).replace(b"\n", b""),
        ]
    )
    length = chance.choice([str(len(body)), "-1", "0", "1e9", "abc", "", str(2**64), f"{len(body)}, 1", "5"]).encode()
    headers = [b"Host: x", b"Content-Type: application/json", b"Content-Length: " + length, b"Connection: close"]
    extra = [
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Expect: 200-maybe",
        b"Content-Encoding: br",
        b"Authorization: Bearer \xff\xfe",
        b"X-Request-Id: " + b"a" * 5000,
        b"Cookie: " + chance.randbytes(20).hex().encode() * 50,
        b"no colon",
        b": no name",
        b" folded",
        b"Host: y",
        b"Content-Length: 7",
    ]
    headers += chance.sample(extra, chance.randint(0, 4))
    return b"\r\n".join([line, *headers, b"", b""]) + body


def exchange(attacked: Attacked, data: bytes) -> int:
    """The status of what the server answers to these bytes; 0 if it hangs up."""
    host, port = attacked.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        try:
            line = connection.makefile("rb").readline()
        except ConnectionError:
            return 0
    return int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else 0


def run(kind: str, count: int, ask: Callable[[random.Random], int]) -> Counter[int]:
    """Ask so often; print and return how often each status came."""
    statuses = Counter(ask(random.Random(f"{kind} {n}")) for n in range(count))
    print(f"{count} {kind}: {dict(sorted(statuses.items()))}")
    return statuses


def test_bodies(http: httpx.Client) -> None:
    def ask(chance: random.Random) -> int:
        headers = JSON if chance.random() < 0.7 else {"Content-Type": chance.choice(TYPES)}
        answer = http.post("/v1/audio/speech", content=malformed_body(chance), headers=headers)
        if answer.status_code != 200:  # some were not harmed enough
            assert answer.json()["error"]["message"]
        return answer.status_code

    statuses = run("bodies", BODIES, ask)
    assert set(statuses) <= {200, 400, 404, 413}
    assert statuses[400] > BODIES / 2


def test_uploads(http: httpx.Client) -> None:
    def ask(chance: random.Random) -> int:
        data, content_type = malformed_upload(chance)
        answer = http.post("/v1/audio/voices", content=data, headers={"Content-Type": content_type})
        if answer.status_code == 200:
            assert http.delete(f"/v1/audio/voices/{answer.json()['id']}").status_code == 200
        else:
            assert answer.json()["error"]["message"]
        return answer.status_code

    statuses = run("uploads", UPLOADS, ask)
    assert set(statuses) <= {200, 400, 413}
    assert statuses[400] > UPLOADS / 2


def test_http_itself(attacked: Attacked) -> None:
    statuses = run("requests", HEADERS, lambda chance: exchange(attacked, malformed_request(chance)))
    assert all(status < 500 or status == 501 for status in statuses)  # 501: a transfer coding that is not known
    assert attacked.speaks()
