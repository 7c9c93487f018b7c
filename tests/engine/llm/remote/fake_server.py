"""A server of each kind over real HTTP, around a model whose preferences depend on the position only.

So a remote language model can be compared with one in this process that has the same preferences.
"""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from engine.config import RemoteKind
from engine.llm.base import Chunk
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary

IDS = 6112  # of the small checkpoint


def preferences(position: int, seed: int | None) -> npt.NDArray[np.float32]:
    """The preference for each id after `position` other ids, shape (IDS,)."""
    return np.random.default_rng([position, abs(seed or 0)]).random(IDS, np.float32)


class PreferringModelRunner:
    """A ModelRunner with these preferences."""

    device = torch.device("cpu")
    slots, context, chunk, budget = 4, 4096, 256, 256

    def __init__(self, grammar: Grammar) -> None:
        self._ids = grammar.ids

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        ends = [chunk.start + len(chunk.ids) for chunk in chunks]
        return torch.stack([torch.from_numpy(preferences(end, None)[self._ids]) for end in ends])

    def decode(self, slots: Sequence[int], rows: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        return torch.stack([torch.from_numpy(preferences(n + 1, None)[self._ids]) for n in positions])

    def move(self, source: int, target: int) -> None:
        pass

    def release(self, slot: int) -> None:
        pass


class FakeServer:
    """A server of one kind, in the event loop of the test."""

    def __init__(self, kind: RemoteKind, vocabulary: Vocabulary, *, incremental: bool = False) -> None:
        self.kind, self.incremental = kind, incremental
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.running = 0
        self.most_running = 0
        self.status = 200  # of /health and of every answer
        self.error: Any = None  # body of an answer whose status is another; an event where that is 200
        self.dies_after: int | None = None  # tokens
        self.stops_after: int | None = None
        self.hushed: int | None = None  # tokens after which nothing comes until `speak` is set
        self.speak = asyncio.Event()
        self.obeys = True
        self.url = ""
        self._audio, self._ends = Grammar(vocabulary).ids, vocabulary.ends
        self.app = FastAPI()
        self.app.get("/health")(self._health)
        path = {"vllm": "/v1/completions", "sglang": "/generate", "llama-server": "/completion"}[kind]
        self.app.post(path)(self._generate)

    async def _health(self) -> Response:
        return Response(status_code=self.status)

    async def _generate(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.requests.append(body)
        self.keys.append(request.headers.get("authorization"))
        if self.hushed == 0:
            await self.speak.wait()
        if self.status != 200:
            return JSONResponse(self.error, self.status)
        return StreamingResponse(self._events(body), media_type="text/event-stream")

    async def _events(self, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            if self.error:
                yield f"data: {json.dumps(self.error)}\n\n"
                return
            drawn: list[int] = []
            for token, reason in self._sample(body):
                if len(drawn) == self.dies_after:
                    raise ConnectionResetError  # and no end of the stream
                if len(drawn) == self.stops_after:
                    break
                if len(drawn) == self.hushed:
                    await self.speak.wait()
                await asyncio.sleep(0)
                drawn.append(token)
                yield f"data: {json.dumps(self._event(drawn, reason))}\n\n"
            if self.kind == "llama-server":
                stop_type = "eos" if reason == "stop" else "limit"
                yield f"data: {json.dumps({'tokens': [], 'stop': True, 'stop_type': stop_type})}\n\n"
            else:
                yield "data: [DONE]\n\n"
        finally:
            self.running -= 1

    def _sample(self, body: dict[str, Any]) -> Iterator[tuple[int, str | None]]:
        """Each id, and why it is the last if it is."""
        rules = body["sampling_params"] if self.kind == "sglang" else body
        position = len(body["input_ids" if self.kind == "sglang" else "prompt"])
        most = rules[{"vllm": "max_tokens", "sglang": "max_new_tokens", "llama-server": "n_predict"}[self.kind]]
        seed = rules.get("sampling_seed" if self.kind == "sglang" else "seed")
        ends = rules.get("stop_token_ids", self._ends)  # a llama-server has them in its file
        bias = self._bias(rules) if self.obeys else np.zeros(IDS)
        for n in range(most):
            preferred = preferences(position + n, seed if rules["temperature"] else None)
            token = int(np.argmax(preferred + bias))
            last = "stop" if token in ends else "length" if n == most - 1 else None
            yield token, last
            if last:
                return

    def _bias(self, rules: dict[str, Any]) -> npt.NDArray[np.float64]:
        bias = np.full(IDS, -np.inf)
        match self.kind:
            case "vllm":
                bias[rules["allowed_token_ids"]] = 0
            case "sglang":
                bias[:] = 0
                for token, value in rules.get("logit_bias", {}).items():
                    bias[int(token)] += value
            case "llama-server":
                bias[self._audio] = 0
                bias[[token for token, value in rules["logit_bias"] if value is False]] = -np.inf
        return bias

    def _event(self, drawn: list[int], reason: str | None) -> dict[str, Any]:
        match self.kind:
            case "vllm":
                return {"choices": [{"index": 0, "text": "", "token_ids": drawn[-1:], "finish_reason": reason}]}
            case "sglang":
                finish = {"type": reason} if reason else None
                meta = {"id": "1", "finish_reason": finish, "completion_tokens": len(drawn)}
                return {"text": "", "output_ids": drawn[-1:] if self.incremental else drawn, "meta_info": meta}
            case "llama-server":
                return {"tokens": drawn[-1:], "content": "", "stop": False}


@asynccontextmanager
async def served(app: FastAPI) -> AsyncGenerator[str, None]:
    """The address of an app that is served while this lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            await task
