"""A local server that answers what the clients of Hugging Face and ModelScope ask when they download a model."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0de"


@dataclass
class Transfer:
    """One answer with a file's bytes: from where on, and how many were sent."""

    file: str
    start: int
    sent: int = 0


@dataclass
class Hub:
    """Both hubs at one address, with one model; its behaviour can be changed between two requests."""

    model: str
    files: dict[str, bytes]
    refuse: int | None = None
    """Status of every answer."""
    gate: int | None = None
    """Status of every answer with a file; the model itself can be looked up."""
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """After how many bytes the connection breaks while this file is sent: each time one of the list."""
    holds: dict[str, int] = field(default_factory=dict)
    """Before which byte of this file the server falls silent, until it is closed; also for who asks again."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that are claimed in the listing instead of the real ones."""
    transfers: list[Transfer] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        hub: Hub = self

        class Handler(_Handler):
            served = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def sent(self, file: str) -> int:
        """Bytes of this file that were sent so far, in all transfers together."""
        return sum(transfer.sent for transfer in self.transfers if transfer.file == file)

    def starts(self, file: str) -> list[int]:
        """Where each transfer of this file began."""
        return [transfer.start for transfer in self.transfers if transfer.file == file]

    def size(self, file: str) -> int:
        return self.sizes.get(file, len(self.files[file]))


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, url = self.served, urlsplit(self.path)
        path, query = unquote(url.path), parse_qs(url.query)
        hub.paths.append(path)
        resolved, scope = f"/{hub.model}/resolve/{COMMIT}/", f"/api/v1/models/{hub.model}"
        if hub.refuse:
            self.refuse(hub.refuse)
        elif path == f"/api/models/{hub.model}":
            siblings = [{"rfilename": file, "size": hub.size(file)} for file in hub.files]
            self.answer({"id": hub.model, "sha": COMMIT, "siblings": siblings})
        elif path == f"/api/models/{hub.model}/tree/{COMMIT}":
            self.answer(
                [{"type": "file", "path": file, "size": hub.size(file), "oid": _oid(file)} for file in hub.files]
            )
        elif path == f"{scope}/repo/files":
            files = [
                {"Path": file, "Type": "blob", "Size": hub.size(file), "Sha256": hashlib.sha256(content).hexdigest()}
                for file, content in hub.files.items()
            ]
            self.answer({"Code": 200, "Success": True, "Data": {"Files": files}})
        elif path.startswith(resolved) and path.removeprefix(resolved) in hub.files:
            self.send(path.removeprefix(resolved))
        elif path == f"{scope}/repo" and query["FilePath"][0] in hub.files:
            self.send(query["FilePath"][0])
        else:
            self.refuse(404)

    def answer(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int) -> None:
        self.send_response(status)
        if self.served.gate:
            self.send_header("X-Error-Code", "GatedRepo")
        elif status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, file: str) -> None:
        hub, content = self.served, self.served.files[file]
        if hub.gate:
            self.refuse(hub.gate)
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{_oid(file)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "HEAD":
            return
        transfer = Transfer(file, start)
        hub.transfers.append(transfer)
        breaks = hub.breaks.get(file)
        until = breaks.pop(0) if breaks else max(0, hub.holds.get(file, len(content)) - start)
        self.wfile.write(content[start : start + until])
        transfer.sent = until
        if start + until < len(content):
            self.close_connection = True
            if file in hub.holds:
                hub.held.set()
                hub.closed.wait()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def _oid(file: str) -> str:
    return hashlib.sha1(file.encode()).hexdigest()
