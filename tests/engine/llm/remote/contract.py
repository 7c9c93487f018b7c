"""The tests that every kind of real server must pass; the tests of each kind inherit them and start the server."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from engine.config import EngineConfig, RemoteKind
from engine.errors import BackendFailed
from engine.llm.base import LanguageModel
from engine.llm.registry import load_language_model
from engine.tokens.vocabulary import Vocabulary
from engine.types import OutputGrammar, Prompt, Sampling
from tests.engine.llm.helpers import generate, prompts
from tests.waiting import NEVER, until

CONTEXT = 1024
SLOTS = 8


@dataclass(frozen=True)
class RealServer:
    """A server of a language model in a process of its own. `steps` returns its number of steps so far."""

    kind: RemoteKind
    url: str
    process: subprocess.Popen[bytes]
    steps: Callable[[], int]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def started(
    kind: RemoteKind, command: Sequence[str], log: Path, steps: str, environment: dict[str, str]
) -> Iterator[RealServer]:
    """A server, once it is healthy; a port is added to its command. `steps` is the metric that counts them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    server = RealServer(kind, url, process, lambda: metric(url, steps))
    try:
        deadline = time.monotonic() + 500
        while not healthy(url):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield server
    finally:
        if process.poll() is None:
            server.kill()


def healthy(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health", timeout=240).is_success
    except httpx2.HTTPError:
        return False


def metric(url: str, name: str) -> int:
    (value,) = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", httpx2.get(f"{url}/metrics", timeout=240).text, re.MULTILINE)
    return int(float(value))


def wider_heads(small_checkpoint: Path, directory: Path) -> Path:
    """The small checkpoint with heads twice as wide and half as many: vLLM's CPU build has no kernel for width 16."""
    shutil.copytree(small_checkpoint, directory, ignore=shutil.ignore_patterns("*.gguf", "*.lock"))
    file = directory / "LLM" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_attention_heads": 2, "num_key_value_heads": 1}))
    return directory


@asynccontextmanager
async def loaded(
    checkpoint: Path, vocabulary: Vocabulary, *servers: RealServer | str
) -> AsyncGenerator[LanguageModel, None]:
    """The model on these servers, or, if there are none, in torch."""
    settings: dict[str, object] = {"backend": "torch", "llm_device": "cpu", "llm_precision": "float32"}
    if servers:
        kind = next(server.kind for server in servers if isinstance(server, RealServer))
        urls = [server.url if isinstance(server, RealServer) else server for server in servers]
        settings = {"backend": "remote", "remote": {"urls": urls, "kind": kind, "token_seconds": NEVER}}
    config = EngineConfig.model_validate(settings | {"max_running": SLOTS, "max_context": CONTEXT})
    model = load_language_model(checkpoint, config, vocabulary)
    try:
        yield model
    finally:
        await model.close()


async def steps_at_rest(server: RealServer) -> int:
    """How many steps it has made, once it makes no more."""
    steps = -1
    while steps != (steps := await asyncio.to_thread(server.steps)):
        await asyncio.sleep(0.3)
    return steps


@asynccontextmanager
async def held_back(server: RealServer) -> AsyncGenerator[RealServer, None]:
    """The server behind a relay that holds back each answer after its first token, until the server is dead.

    Otherwise a busy host could let the server finish the answer before it is killed.
    """
    address = urlsplit(server.url)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            upstream, request = await asyncio.open_connection(address.hostname, address.port)
            sending = asyncio.create_task(copy(reader, request))
            while data := await upstream.read(2**16):
                head, token, rest = data.partition(b"data: {")
                event, end, _ = rest.partition(b"\n\n")
                writer.write(head + token + event + end)
                if end:
                    await until(lambda: server.process.poll() is not None)
                    break
            sending.cancel()
            request.close()
        writer.transport.abort()

    relaying = await asyncio.start_server(relay, "127.0.0.1")
    async with relaying:
        port = relaying.sockets[0].getsockname()[1]
        yield replace(server, url=f"http://127.0.0.1:{port}")


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()


def follows(prompt: Prompt, answer: list[int], vocabulary: Vocabulary) -> bool:
    start = 0
    if prompt.answer is OutputGrammar.VOICE_AND_SPEECH:
        start = answer.index(vocabulary.id("<|start_semantic_token|>")) + 1
        assert all(token in vocabulary.globals.ids for token in answer[start - 34 : start - 2])
    return len(answer) > start and all(token in vocabulary.semantic.ids for token in answer[start:])


class RemoteServerContract:
    """A subclass's module has the fixtures `checkpoint` and `server`, which all its tests share."""

    async def test_greedy_ids_are_those_of_the_torch_backend(
        self, server: RealServer, checkpoint: Path, vocabulary: Vocabulary
    ) -> None:
        greedy = Sampling(temperature=0, max_tokens=150)
        answers = []
        for servers in ([], [server]):
            async with loaded(checkpoint, vocabulary, *servers) as model:
                answers.append(
                    await asyncio.gather(*(generate(model, prompt, greedy) for prompt in prompts(vocabulary)))
                )
        assert answers[0] == answers[1]
        assert min(len(answer) for answer in answers[0]) > 50

    async def test_eight_at_once_follow_their_grammar(
        self, server: RealServer, checkpoint: Path, vocabulary: Vocabulary
    ) -> None:
        asked = (prompts(vocabulary) * 3)[:SLOTS]
        samplings = [Sampling(seed=n, max_tokens=80, top_k=50 * (n % 3), temperature=n % 4 / 2) for n in range(SLOTS)]
        async with loaded(checkpoint, vocabulary, server) as model:
            answers = await asyncio.gather(*map(generate, [model] * SLOTS, asked, samplings))
        assert all(follows(prompt, answer, vocabulary) for prompt, answer in zip(asked, answers, strict=True))

    async def test_a_seed_gives_the_same_ids_and_none_gives_others(
        self, server: RealServer, checkpoint: Path, vocabulary: Vocabulary
    ) -> None:
        seeded = Sampling(seed=2**64 - 1, max_tokens=60)  # as large as the engine's own become
        async with loaded(checkpoint, vocabulary, server) as model:
            for prompt in (prompts(vocabulary)[0], prompts(vocabulary)[2]):
                first, second = await generate(model, prompt, seeded), await generate(model, prompt, seeded)
                assert first == second
                fresh = [await generate(model, prompt, Sampling(max_tokens=60)) for _ in range(2)]
                assert len({tuple(answer) for answer in (first, *fresh)}) == 3

    async def test_an_answer_ends_at_an_end_token_and_has_one_token_at_least(
        self, server: RealServer, checkpoint: Path, vocabulary: Vocabulary
    ) -> None:
        hot = [Sampling(seed=seed, temperature=2, top_k=0, top_p=1, max_tokens=900) for seed in range(16)]
        async with loaded(checkpoint, vocabulary, server) as model:
            answers = await asyncio.gather(*(generate(model, prompts(vocabulary)[0], one) for one in hot))
        assert all(follows(prompts(vocabulary)[0], answer, vocabulary) for answer in answers)
        assert min(len(answer) for answer in answers) < 850  # of 512 tokens and two ends, one comes long before

    @pytest.mark.parametrize("count", [1, SLOTS])
    async def test_closing_answers_ends_them_there(
        self, server: RealServer, checkpoint: Path, vocabulary: Vocabulary, count: int
    ) -> None:
        """Of five times, the best: a busy machine may let this process wait while the server goes on."""
        endless = Sampling(temperature=0, max_tokens=900)
        made = []
        async with loaded(checkpoint, vocabulary, server) as model:
            for _ in range(5):
                before = await steps_at_rest(server)
                answers = [model.generate(prompts(vocabulary)[0], endless) for _ in range(count)]
                await asyncio.gather(*map(anext, answers))
                for answer in answers:
                    await answer.aclose()
                made.append(await steps_at_rest(server) - before)
            assert 0 < min(made) < endless.max_tokens - 50  # without an end there it makes all of them
            assert await generate(model, prompts(vocabulary)[0], Sampling(seed=1, max_tokens=5))

    async def test_it_answers_beside_a_dead_server(
        self, server: RealServer, checkpoint: Path, vocabulary: Vocabulary
    ) -> None:
        async with loaded(checkpoint, vocabulary, "http://127.0.0.1:9", server) as model:
            assert await generate(model, prompts(vocabulary)[0], Sampling(seed=1, max_tokens=5))
            assert model.failure is None

    async def test_killed_amid_an_answer_it_is_an_error_and_the_model_says_why(
        self, server: RealServer, checkpoint: Path, vocabulary: Vocabulary
    ) -> None:
        """The last one: no test of this module can use the server after it."""
        async with held_back(server) as relay, loaded(checkpoint, vocabulary, relay) as model:
            answer = model.generate(prompts(vocabulary)[0], Sampling(temperature=0, max_tokens=900))
            await anext(answer)
            await asyncio.to_thread(server.kill)
            with pytest.raises(BackendFailed, match=f"{relay.url} failed"):
                async for _ in answer:
                    pass
            assert relay.url in str(model.failure)
            with pytest.raises(BackendFailed, match="None of the language model's servers can be used now"):
                await generate(model, prompts(vocabulary)[0], Sampling(seed=1, max_tokens=5))
