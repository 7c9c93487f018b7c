"""SGLang's answers as its documentation and its sources have them, byte by byte: no server of it can run here."""

from collections.abc import AsyncGenerator

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from engine.tokens.vocabulary import Vocabulary
from engine.types import Sampling
from tests.engine.llm.helpers import generate, speech
from tests.engine.llm.remote.conftest import Remote
from tests.engine.llm.remote.fake_server import served

META = (
    '"meta_info":{"id":"6f0c","finish_reason":%s,"prompt_tokens":3,"weight_version":"default","completion_tokens":%d,'
    '"cached_tokens":2,"e2e_latency":0.04}'
)
GOING_ON, STOPPED = "null", '{"type":"stop","matched":%d}'


def event(text: str, ids: list[int], count: int, reason: str = GOING_ON) -> bytes:
    listed = ",".join(map(str, ids))
    return (f'data: {{"text":"{text}","output_ids":[{listed}],' + META % (reason, count) + "}\n\n").encode()


@pytest.mark.parametrize("incremental", [False, True])
async def test_what_sglang_sends_is_understood(remote: Remote, vocabulary: Vocabulary, *, incremental: bool) -> None:
    first, end = vocabulary.semantic.first, vocabulary.ends[1]
    ids = [first + 5, first + 7, first + 7, first + 9, end]
    parts = [(0, 1), (1, 3), (3, 4), (4, 5)]  # a server may take several steps between two events
    sent = [
        event("<|x|>", ids[start if incremental else 0 : stop], stop, STOPPED % end if stop == 5 else GOING_ON)
        for start, stop in parts
    ]
    stream = b"".join([*sent, b"data: [DONE]\n\n"])
    app = FastAPI()

    @app.post("/generate")
    async def answer() -> StreamingResponse:
        async def pieces() -> AsyncGenerator[bytes, None]:
            for start in range(0, len(stream), 61):  # TCP does not know where an event ends
                yield stream[start : start + 61]

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async with served(app) as url:
        model = remote.model(url, kind="sglang")
        assert await generate(model, speech(3), Sampling(max_tokens=50)) == ids[:-1]
        await model.close()
