"""Sessions meet the limits of HTTP: connections, clients that do not read, shutdown; and they pass through nginx."""

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.tokens.vocabulary import Vocabulary
from tests.engine.fakes import FIRST_WINDOW
from tests.server.conftest import Server
from tests.server.fakes import BODY, Fakes, draining, metrics, patient, set_event
from tests.server.sessions import CONFIG, DONE, TEXT, Serve, of_one_request, receive, send, session, started, texts
from tests.waiting import until, wait_until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
LONG = {"max_tokens": 3000, "sample_rate": 48_000}


async def test_sessions_count_as_connections(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(max_connections=2))
    server = started(serve(fakes.app))
    async with AsyncExitStack() as held:
        clients = [await held.enter_async_context(session(server)) for _ in range(2)]
        with pytest.raises(InvalidStatus) as refused:
            async with session(server):
                pass
        assert refused.value.response.status_code == 503
        assert "too many connections" in json.loads(refused.value.response.body)["error"]["message"]
        await clients[0].close()
        await send(clients[1], *texts([TEXT]), DONE)
        assert (await receive(clients[1])).done["total_sentences"] == 3
        async with session(server) as another:
            await send(another, *texts([TEXT]), DONE)
            assert (await receive(another)).done["total_sentences"] == 3


async def test_a_session_has_no_limit_of_a_request_s_headers_and_body(
    serve: Serve, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(header_seconds=1, stall_seconds=1))
    server = started(serve(fakes.app))
    async with session(server, CONFIG | {"flush_after_seconds": 2}) as client:
        await send(client, *texts(["This is said after two seconds"]))  # which is longer than these limits
        await receive(client, "audio.done")
        await send(client, *texts([TEXT]), DONE)
        assert (await receive(client)).done["total_sentences"] == 4


@contextmanager
def reading_little(server: Server) -> Iterator[socket.socket]:
    """A socket for a client whose TCP takes a few KB at once."""
    address = httpx.URL(server.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address.host, address.port))
        yield client


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system's TCP has no time limit of its own")
async def test_who_reads_nothing_loses_the_place(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(stall_seconds=2, max_requests=1))
    server = started(serve(fakes.app))
    with reading_little(server) as stuck:
        # Its queue of one message is full at once; then it takes nothing more from its socket.
        async with session(server, CONFIG | LONG, sock=stuck, max_queue=1, close_timeout=0) as client:
            await send(client, *texts(["A sentence. " * 300]), DONE)
            await until(lambda: fakes.language_model.running > 0)
            assert await asyncio.to_thread(of_one_request, server)  # it waited for the place
    with httpx.Client(base_url=server.url, timeout=60) as http:
        assert metrics(http)["requests_total cancelled"] == 1


async def test_who_reads_slowly_gets_all_and_is_not_generated_for_ahead(
    serve: Serve, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(stall_seconds=2))
    server = started(serve(fakes.app))
    sentences = 40
    with reading_little(server) as slow:
        async with session(server, CONFIG | LONG, sock=slow, max_queue=1) as client:
            prompts = len(fakes.language_model.prompts)
            await send(client, *texts(["This is quite a long sentence, which has some more words. " * sentences]), DONE)
            received = 0
            while not isinstance(message := await client.recv(), str) or "session.done" not in message:
                if isinstance(message, bytes):
                    if not received:  # a minute of it is ready, and the sockets hold a part of that
                        assert len(fakes.language_model.prompts) - prompts < sentences
                    received += len(message)
            assert received == json.loads(message)["seconds"] * 48_000 * 2
            assert json.loads(message)["total_sentences"] == sentences


async def test_a_turn_is_finished_before_the_server_stops(vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(drain_seconds=3600))
    with draining(fakes) as (server, thread, url):
        running = Server(url, Path("none"), 0)
        await asyncio.to_thread(of_one_request, running)  # the voice is created
        fakes.language_model.pause_after = FIRST_WINDOW
        async with session(running, CONFIG | {"max_tokens": 60}) as client, session(running) as idle:
            await send(client, *texts([TEXT]), DONE, *texts(["Too late."]), DONE)
            await receive(client, "audio.start")
            server.handle_exit(signal.SIGTERM, None)
            await send(idle, *texts([TEXT]), DONE)
            assert (await receive(idle)).of("error")[0]["message"] == "The server is shutting down."
            set_event(fakes, fakes.language_model.resume)
            heard = await receive(client, units=[b""])
            assert heard.done["total_sentences"] == 3
            assert heard.done["seconds"] == pytest.approx(3 * 60 / 50)
            assert (await receive(client)).of("error")[0]["message"] == "The server is shutting down."
            for one in (client, idle):
                with pytest.raises(ConnectionClosed) as closed:
                    await one.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012  # the service restarts
        thread.join(120)
    assert fakes.language_model.running == 0


async def test_a_turn_that_is_not_finished_in_time_is_cut_off(
    vocabulary: Vocabulary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(drain_seconds=0))
    with draining(fakes) as (server, thread, url):
        running = Server(url, Path("none"), 0)
        await asyncio.to_thread(of_one_request, running)
        fakes.language_model.pause_after = FIRST_WINDOW
        async with session(running, CONFIG | {"max_tokens": 60}) as client:
            await send(client, *texts([TEXT]))
            await receive(client, "audio.start")
            server.handle_exit(signal.SIGTERM, None)
            with pytest.raises(ConnectionClosed):
                await receive(client, units=[b""])
            assert client.close_code == 1012
        thread.join(120)
    assert "Requests that were not finished in time and are cut off: 1." in caplog.messages
    assert not [record for record in caplog.records if record.exc_info]
    assert fakes.language_model.running == 0


def nginx_configuration(server: Server, port: int, directory: Path) -> str:
    """The configuration that the documentation has, for this server and port."""
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    shown = re.search(r"```nginx\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    site = shown[1].replace("127.0.0.1:8000", server.url.removeprefix("http://"))
    site = site.replace("listen 80;", f"listen 127.0.0.1:{port};")
    assert str(port) in site
    paths = "".join(f"{kind}_temp_path {directory};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"pid {directory}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{site}}}\n"


@contextmanager
def behind_nginx(server: Server, directory: Path) -> Iterator[Server]:
    assert NGINX is not None
    directory.chmod(0o777)  # for its workers, which root starts as another user
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = directory / "nginx.conf"
    configuration.write_text(nginx_configuration(server, port, directory))
    command = [NGINX, "-p", str(directory), "-c", str(configuration), "-g", "daemon off;"]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        proxy = Server(f"http://127.0.0.1:{port}", directory / "log", process.pid)
        wait_until(lambda: answers(proxy) or process.poll() is not None)
        assert process.poll() is None, (directory / "log").read_text()
        yield proxy
    finally:
        process.terminate()
        process.wait(120)


def answers(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/health/ready", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt install nginx-light")
async def test_over_nginx_a_session_is_the_same(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    key = "a-key-of-this-server"
    fakes = Fakes(vocabulary, tmp_path, patient(api_keys={"ada": key}, cors_origins=["https://here.example"]))
    server = serve(fakes.app)
    headers = {"Authorization": f"Bearer {key}"}
    (tmp_path / "nginx").mkdir()
    with behind_nginx(server, tmp_path / "nginx") as proxy:
        body = BODY | {"input": TEXT, "seed": 3}
        async with httpx.AsyncClient(headers=headers, timeout=60) as http:
            direct = (await http.post(f"{server.url}/v1/audio/speech", json=body)).raise_for_status().content
        protocols = ["speech", f"openai-insecure-api-key.{key}"]
        async with session(proxy, origin="https://here.example", subprotocols=protocols) as client:
            assert client.subprotocol == "speech"
            for _ in range(2):
                await send(client, *texts(TEXT[at : at + 7] for at in range(0, len(TEXT), 7)), DONE)
                assert b"".join((await receive(client)).audio) == direct
        fakes.language_model.pause_after = FIRST_WINDOW
        async with session(proxy, CONFIG | {"max_tokens": 60}, additional_headers=headers) as client:
            await send(client, *texts([TEXT]))
            await receive(client, "audio.start")
            assert await client.recv()  # nothing waits for more audio on the way
            client.transport.abort()
        await until(lambda: fakes.language_model.running == 0)
        with pytest.raises(InvalidStatus) as refused:
            async with connect(proxy.url.replace("http", "ws") + "/v1/audio/speech/stream"):
                pass
        assert refused.value.response.status_code == 401
