"""The vLLM backend, for real, on vLLM's build for CPUs: one engine, as a server has it, and one that is killed."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import httpx2
import psutil
import pytest
import pytest_asyncio

from engine.config import EngineConfig
from engine.errors import EngineClosed, InvalidRequest
from engine.llm.base import LanguageModel
from engine.llm.registry import load_language_model
from engine.observer import Observer
from engine.tokens.vocabulary import Vocabulary
from engine.types import OutputGrammar, Prompt, Sampling
from tests.engine.llm.helpers import generate, generate_staggered, prompts

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOTS = 8
CONTEXT = 1024
STEPS: list[int] = []


@pytest.fixture(scope="module")
def checkpoint(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small checkpoint with heads twice as wide and half as many: vLLM's CPU build has no kernel for width 16."""
    directory = shutil.copytree(small_checkpoint, tmp_path_factory.mktemp("vllm") / "small")
    file = directory / "LLM" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_attention_heads": 2, "num_key_value_heads": 1}))
    return directory


def settings(checkpoint: Path, backend: str) -> EngineConfig:
    return EngineConfig.model_validate(
        {"model": str(checkpoint), "backend": backend, "llm_device": "cpu", "llm_precision": "float32"}
        | {"max_running": SLOTS, "max_context": CONTEXT}
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(checkpoint: Path, vocabulary: Vocabulary) -> AsyncGenerator[LanguageModel, None]:
    config = settings(checkpoint, "vllm")
    observer = Observer(step=STEPS.append)
    model = await asyncio.to_thread(load_language_model, checkpoint, config, vocabulary, observer=observer)
    yield model
    await model.close()


async def by_torch(checkpoint: Path, vocabulary: Vocabulary, sampling: Sampling) -> list[list[int]]:
    """What the torch backend answers to a prompt of each form."""
    model = load_language_model(checkpoint, settings(checkpoint, "torch"), vocabulary)
    try:
        return await asyncio.gather(*(generate(model, prompt, sampling) for prompt in prompts(vocabulary)))
    finally:
        await model.close()


@pytest.mark.parametrize("penalty", [1.0, 1.3])
async def test_greedy_ids_are_those_of_the_torch_backend(
    model: LanguageModel, checkpoint: Path, vocabulary: Vocabulary, penalty: float
) -> None:
    greedy = Sampling(temperature=0, max_tokens=150, repetition_penalty=penalty)
    answers = await generate_staggered(model, [(prompt, greedy) for prompt in prompts(vocabulary)])
    assert answers == await by_torch(checkpoint, vocabulary, greedy)
    assert min(len(answer) for answer in answers) > 50


async def test_eight_at_once_share_steps_and_each_follows_its_grammar(
    model: LanguageModel, vocabulary: Vocabulary
) -> None:
    STEPS.clear()
    asked = (prompts(vocabulary) * 3)[:SLOTS]
    samplings = [Sampling(seed=n, max_tokens=90, top_k=50 * (n % 3), temperature=n % 4 / 2) for n in range(SLOTS)]
    answers = await asyncio.gather(*map(generate, [model] * SLOTS, asked, samplings))
    assert max(STEPS) == SLOTS
    assert sum(len(answer) for answer in answers) <= sum(STEPS) <= sum(len(answer) + 1 for answer in answers)
    for prompt, answer in zip(asked, answers, strict=True):
        assert all(token in vocabulary.semantic.ids for token in spoken(prompt, answer, vocabulary))


def spoken(prompt: Prompt, answer: list[int], vocabulary: Vocabulary) -> list[int]:
    """The semantic tokens of an answer, of which there is one at least; a voice before them is checked."""
    start = 0
    if prompt.answer is OutputGrammar.VOICE_AND_SPEECH:
        begun = answer.index(vocabulary.id("<|start_global_token|>")) + 1
        assert all(token in vocabulary.globals.ids for token in answer[begun : begun + 32])
        assert answer[begun + 32] == vocabulary.id("<|end_global_token|>")
        assert answer[begun + 33] == vocabulary.id("<|start_semantic_token|>")
        start = begun + 34
    assert len(answer) > start
    return answer[start:]


async def test_a_seed_gives_the_same_ids_and_none_gives_others(model: LanguageModel, vocabulary: Vocabulary) -> None:
    prompt = prompts(vocabulary)[0]
    seeded = Sampling(seed=2**64 - 1, max_tokens=60)  # as large as the engine's own become
    first, second = await generate(model, prompt, seeded), await generate(model, prompt, seeded)
    assert first == second
    fresh = [await generate(model, prompt, Sampling(max_tokens=60)) for _ in range(2)]
    assert len({tuple(answer) for answer in (first, *fresh)}) == 3


async def test_an_answer_ends_with_the_end_token_and_has_one_token_at_least(
    model: LanguageModel, vocabulary: Vocabulary
) -> None:
    hot = [Sampling(seed=seed, temperature=2, top_k=0, top_p=1, max_tokens=900) for seed in range(24)]
    answers = await asyncio.gather(*(generate(model, prompts(vocabulary)[0], sampling) for sampling in hot))
    assert all(all(token in vocabulary.semantic.ids for token in answer) for answer in answers)
    lengths = [len(answer) for answer in answers]
    assert min(lengths) >= 1
    assert min(lengths) < 900 - 1  # two of some 500 rows are ends: some answers reach one


async def test_max_tokens_bounds_and_the_context_too(model: LanguageModel, vocabulary: Vocabulary) -> None:
    prompt = prompts(vocabulary)[0]
    greedy = Sampling(temperature=0, max_tokens=7)
    assert len(await generate(model, prompt, greedy)) == 7
    long = Prompt((prompt.ids * 40)[: CONTEXT - 5], OutputGrammar.SPEECH)
    assert len(await generate(model, long, Sampling(temperature=0))) <= 5
    with pytest.raises(InvalidRequest, match=f"{CONTEXT} tokens; this model takes {CONTEXT - 1}"):
        await generate(model, Prompt((prompt.ids * 40)[:CONTEXT], OutputGrammar.SPEECH), greedy)


async def test_an_answer_that_is_closed_frees_its_slot(model: LanguageModel, vocabulary: Vocabulary) -> None:
    prompt = prompts(vocabulary)[0]
    endless = Sampling(temperature=0, max_tokens=900)
    running = [model.generate(prompt, endless) for _ in range(SLOTS)]
    for answer in running:
        await anext(answer)
    for answer in running:
        await answer.aclose()
    STEPS.clear()
    assert len(await generate(model, prompt, Sampling(temperature=0, max_tokens=20))) == 20
    assert STEPS[-10:] == [1] * 10  # it is alone


async def test_the_earliest_deadline_gets_the_next_slot(model: LanguageModel, vocabulary: Vocabulary) -> None:
    prompt = prompts(vocabulary)[0]
    order: list[str] = []

    async def listen(name: str, due: float, tokens: int) -> None:
        async with aclosing(model.generate(prompt, Sampling(temperature=0, max_tokens=tokens), due)) as answer:
            await anext(answer)
            order.append(name)
            async for _ in answer:
                pass

    first = [listen("first", n, 60 + 10 * n) for n in range(SLOTS)]  # they leave one after another
    await asyncio.gather(*first, listen("late", 3e4, 60), listen("early", 2e4, 60))
    assert order == ["first"] * SLOTS + ["early", "late"]


async def test_closing_ends_what_runs(model: LanguageModel, vocabulary: Vocabulary) -> None:
    """The last one of the engine that they share."""
    answer = model.generate(prompts(vocabulary)[0], Sampling(temperature=0, max_tokens=900))
    await anext(answer)
    closing = asyncio.create_task(model.close())
    with pytest.raises(EngineClosed):
        async for _ in answer:
            pass
    await closing
    with pytest.raises(EngineClosed):
        await generate(model, prompts(vocabulary)[0], Sampling())


async def test_an_engine_that_dies_ends_its_requests_and_the_server(checkpoint: Path, tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    engine = settings(checkpoint, "vllm").model_dump(mode="json", exclude_unset=True) | {"codec_device": "cpu"}
    config.write_text(json.dumps({"engine": engine | {"data_directory": str(tmp_path)}, "port": 0}))
    command = [str(Path(sys.executable).with_name("fast-spark")), "serve", "--config", str(config)]
    with (tmp_path / "log").open("w+") as log, subprocess.Popen(command, stderr=log) as server:  # noqa: ASYNC220
        try:
            text = ""
            while not (address := re.search(r"Ready at (http://\S+)", text)):
                assert server.poll() is None, text
                await asyncio.sleep(0.2)
                text = (tmp_path / "log").read_text()
            body = {"model": "tts-1", "voice": "alloy", "input": "Hello. " * 100, "response_format": "pcm"}
            with httpx2.Client(base_url=address[1], timeout=60) as http:
                assert http.get("/health/ready").status_code == 200
                with http.stream("POST", "/v1/audio/speech", json=body) as answer:
                    assert answer.status_code == 200
                    engine_core(server.pid).send_signal(signal.SIGKILL)
                    with pytest.raises(httpx2.RemoteProtocolError):  # it breaks off, and does not hang
                        answer.read()
            assert server.wait(60) == 1
        finally:
            server.kill()
    assert "fast-spark: vLLM's engine has died" in (tmp_path / "log").read_text()


def engine_core(server: int) -> psutil.Process:
    """vLLM's process among the children of a server."""
    [process] = [p for p in psutil.Process(server).children() if "EngineCore" in p.name() + "".join(p.cmdline())]
    return process
