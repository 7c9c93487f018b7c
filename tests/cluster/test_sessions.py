"""/v1/audio/speech/stream through Ray's proxy, with the `websockets` client."""

import asyncio
import json
import os
import signal
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.cluster.conftest import KEY, PacedCluster
from tests.cluster.test_cluster import SHORT, SPEECH, total
from tests.server.test_speech_stream import CANCEL, CONFIG, DONE, receive, send, session, texts
from tests.waiting import wait_until

TEXT = "The first sentence is here, my friends. The second one is a little longer. And a third, to end with."
LONG = "This sentence takes a second to say. " * 30
SAID = {"max_tokens": 100}
AUTHORISED = {"additional_headers": {"Authorization": f"Bearer {KEY}"}}


async def last(client: ClientConnection) -> dict[str, Any]:
    """The last message of a turn whose audio has begun."""
    while True:
        message = await client.recv()
        if isinstance(message, str) and (event := json.loads(message))["type"] == "session.done":
            return dict(event)


async def test_a_session_has_the_samples_of_one_request(cluster: PacedCluster, http: httpx.Client) -> None:
    body = SHORT | {"input": TEXT, "max_tokens": CONFIG["max_tokens"], "seed": CONFIG["seed"]}
    expected = await asyncio.to_thread(lambda: http.post(SPEECH, json=body).raise_for_status().content)
    async with session(cluster.server, **AUTHORISED) as client:
        for _ in range(2):
            await send(client, *texts(TEXT[at : at + 9] for at in range(0, len(TEXT), 9)), DONE)
            heard = await receive(client)
            assert heard.done["total_sentences"] == 3
            assert len(b"".join(heard.audio)) == len(expected)


async def test_keys_and_limits_of_messages_hold(cluster: PacedCluster) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with session(cluster.server):
            pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
    protocols = [Subprotocol("speech"), Subprotocol(f"openai-insecure-api-key.{KEY}")]
    with pytest.raises(InvalidStatus) as refused:
        async with session(cluster.server, origin="https://elsewhere.example", subprotocols=protocols):
            pass
    assert refused.value.response.status_code == 403
    async with session(cluster.server, subprotocols=protocols) as client:
        assert client.subprotocol == "speech"
        await send(client, *texts(["x" * 200_000]))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_cancelling_frees_the_sequence_and_the_session_goes_on(cluster: PacedCluster, http: httpx.Client) -> None:
    async with session(cluster.server, CONFIG | SAID, **AUTHORISED) as client:
        await send(client, *texts([LONG]), DONE)
        await receive(client, "audio.start")
        assert total(http, 2, "requests_running") == 1
        await send(client, CANCEL)
        assert (await last(client))["cancelled"] is True
        assert total(http, 2, "requests_running") == 0
        await send(client, *texts([TEXT]), DONE)
        assert (await receive(client)).done["total_sentences"] == 3


@pytest.mark.parametrize("leaves", ["closes", "breaks off"])
async def test_a_client_that_leaves_frees_its_sequence(cluster: PacedCluster, http: httpx.Client, leaves: str) -> None:
    async with session(cluster.server, CONFIG | SAID, **AUTHORISED) as client:
        await send(client, *texts([LONG]), DONE)
        await receive(client, "audio.start")
        assert total(http, 2, "requests_running") == 1
        if leaves == "breaks off":
            client.transport.abort()
    wait_until(lambda: total(http, 2, "requests_running") == 0)


async def test_a_session_ends_with_its_replica(cluster: PacedCluster) -> None:
    async with session(cluster.server, CONFIG | SAID, **AUTHORISED) as client:
        await send(client, *texts([LONG]), DONE)
        await receive(client, "audio.start")
        dead = set(cluster.machines.replicas())
        for process in dead:
            os.kill(process, signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            await last(client)
    wait_until(lambda: dead.isdisjoint(cluster.machines.replicas()))
    cluster.machines.settle(2)
    async with session(cluster.server, **AUTHORISED) as client:
        await send(client, *texts([TEXT]), DONE)
        assert (await receive(client)).done["total_sentences"] == 3
