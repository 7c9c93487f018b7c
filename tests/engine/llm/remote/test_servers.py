"""Several servers: balanced, skipped while they fail, and used again when they are healthy."""

import asyncio
import socket
from contextlib import aclosing

import pytest

from engine.config import RemoteKind
from engine.errors import BackendFailed
from engine.types import Sampling
from tests.engine.llm.helpers import generate, speech
from tests.engine.llm.remote.conftest import Remote
from tests.waiting import until

FIVE = Sampling(temperature=0, max_tokens=5)
IMPATIENT = {"token_seconds": 2, "retry_seconds": 600}
AGAIN = {"retry_seconds": 0.1}


def nobody() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_requests_go_to_the_server_that_runs_the_fewest(remote: Remote) -> None:
    servers = [await remote.server() for _ in range(3)]
    for server in servers:
        server.hushed = 2
    model = remote.model(*(server.url for server in servers), running=64)
    asked = [asyncio.create_task(generate(model, speech(n), FIVE)) for n in range(1, 13)]
    await until(lambda: sum(server.running for server in servers) == 12)
    assert [server.running for server in servers] == [4, 4, 4]
    servers[1].speak.set()
    await until(lambda: sum(task.done() for task in asked) == 4)  # a server knows earlier that it has answered
    asked.append(asyncio.create_task(generate(model, speech(20), FIVE)))
    await until(lambda: len(servers[1].requests) == 5)
    for server in servers:
        server.speak.set()
    await asyncio.gather(*asked)


async def test_a_dead_server_is_skipped_and_another_answers(remote: Remote) -> None:
    server = await remote.server()
    model = remote.model(nobody(), server.url)
    answers = await asyncio.gather(*(generate(model, speech(n), FIVE) for n in (3, 4)))
    assert [len(answer) for answer in answers] == [5, 5]
    assert model.failure is None


async def test_a_server_that_hangs_is_given_up_before_its_first_token(remote: Remote) -> None:
    hung, server = await remote.server(), await remote.server()
    hung.hushed = 0
    model = remote.model(hung.url, server.url, **IMPATIENT)
    assert len(await generate(model, speech(3), FIVE)) == 5
    assert len(await generate(model, speech(3), FIVE)) == 5
    assert (len(hung.requests), len(server.requests)) == (1, 2)  # it is not tried twice


async def test_a_server_that_falls_silent_amid_an_answer_is_an_error_for_that_answer(remote: Remote) -> None:
    server, other = await remote.server(), await remote.server()
    server.hushed = 3
    model = remote.model(server.url, other.url, **IMPATIENT)
    async with aclosing(model.generate(speech(3), FIVE)) as answer:
        heard = [await anext(answer) for _ in range(3)]
        with pytest.raises(BackendFailed, match=r"127.0.0.1:\d+ failed: it has sent nothing for 2 seconds"):
            await anext(answer)
    assert len(heard) == 3
    assert other.requests == []  # what was heard is not said again
    await until(lambda: server.running == 0)


@pytest.mark.parametrize("kind", ["vllm", "llama-server"])
async def test_a_server_that_dies_amid_an_answer_is_an_error_for_that_answer(remote: Remote, kind: RemoteKind) -> None:
    server = await remote.server(kind)
    server.dies_after = 3
    model = remote.model(server.url, kind=kind, **AGAIN)
    with pytest.raises(BackendFailed, match=r"127.0.0.1:\d+ failed: .*closed"):
        await generate(model, speech(3), FIVE)
    server.dies_after = None
    await until(lambda: model.failure is None)
    assert await generate(model, speech(3), FIVE)


async def test_all_dead_is_an_error_at_once_that_says_why(remote: Remote) -> None:
    addresses = nobody(), nobody()
    model = remote.model(*addresses, retry_seconds=600)
    assert model.failure is None  # nobody has tried
    with pytest.raises(BackendFailed) as first:
        await generate(model, speech(3), FIVE)
    assert all(address in str(first.value) for address in addresses)
    assert model.failure == str(first.value)
    with pytest.raises(BackendFailed, match="None of the language model's servers can be used now"):
        await generate(model, speech(3), FIVE)


async def test_a_healthy_server_gets_requests_again(remote: Remote) -> None:
    server = await remote.server()
    server.status, server.error = 503, {"error": {"code": 503, "message": "Loading model"}}
    model = remote.model(server.url, **AGAIN)
    with pytest.raises(BackendFailed, match="503 Loading model"):
        await generate(model, speech(3), FIVE)
    assert model.failure is not None
    server.status = 200
    server.error = None
    await until(lambda: model.failure is None)
    assert len(await generate(model, speech(3), FIVE)) == 5


async def test_one_request_that_breaks_a_server_is_not_tried_on_it_for_ever(remote: Remote) -> None:
    server = await remote.server()
    server.error = {"error": {"code": 500, "message": "out of memory"}}  # and its /health is good
    model = remote.model(server.url, **AGAIN)
    with pytest.raises(BackendFailed, match="out of memory"):
        await generate(model, speech(3), FIVE)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "error"), [(400, "is too long"), (401, "Unauthorized"), (404, "no model `x`")])
async def test_a_rejected_request_does_not_make_the_server_unhealthy(remote: Remote, status: int, error: str) -> None:
    server, other = await remote.server(), await remote.server()
    server.status, server.error = status, {"error": {"message": error, "code": status}}
    model = remote.model(server.url, other.url)
    with pytest.raises(BackendFailed, match=f"refused the request: {status} {error}"):
        await generate(model, speech(3), FIVE)
    assert other.requests == []
    server.status, server.error = 200, {"error": {"message": error}}  # SGLang says it within a stream
    with pytest.raises(BackendFailed, match=f"refused the request: .*{error}"):
        await generate(model, speech(3), FIVE)
    server.error = None
    assert await generate(model, speech(3), FIVE)
    assert len(server.requests) == 3


async def test_a_server_of_another_kind_is_told(remote: Remote) -> None:
    server = await remote.server("vllm")
    with pytest.raises(BackendFailed, match="refused the request: 404 Not Found"):
        await generate(remote.model(server.url, kind="sglang"), speech(3), FIVE)


async def test_the_key_and_the_models_name_are_sent(remote: Remote) -> None:
    server = await remote.server()
    model = remote.model(f"{server.url}/v1/", model="spark", api_key="a-key-of-somebody")
    await generate(model, speech(3), FIVE)
    assert server.keys == ["Bearer a-key-of-somebody"]
    assert server.requests[0]["model"] == "spark"
