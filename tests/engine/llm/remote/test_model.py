"""A remote model answers like a model in this process, for each kind of server, and follows the grammar."""

import asyncio
from contextlib import aclosing

import pytest

from engine.config import RemoteKind
from engine.errors import BackendFailed, EngineClosed, InvalidRequest
from engine.llm.remote.model import uniform_span
from engine.llm.scheduler import Scheduler
from engine.tokens.grammar import ACCEPTED, Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import OutputGrammar, Prompt, Sampling
from tests.engine.llm.helpers import generate, prompts, speech
from tests.engine.llm.remote.conftest import Remote
from tests.engine.llm.remote.fake_server import IDS, PreferringModelRunner, preferences
from tests.waiting import until

GREEDY = Sampling(temperature=0, max_tokens=300)
SHORT = Sampling(temperature=0, max_tokens=60)  # an unrestricted server nearly always gives invalid ids here
KINDS: list[RemoteKind] = ["vllm", "sglang", "llama-server"]


async def in_process(grammar: Grammar, asked: list[Prompt], sampling: Sampling = GREEDY) -> list[list[int]]:
    model = Scheduler(PreferringModelRunner(grammar), grammar)
    try:
        return await asyncio.gather(*(generate(model, prompt, sampling) for prompt in asked))
    finally:
        await model.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_are_those_of_a_model_in_this_process(
    remote: Remote, vocabulary: Vocabulary, kind: RemoteKind
) -> None:
    asked = [*prompts(vocabulary), *(speech(n) for n in (5, 500, 1000))]
    sampling = SHORT if kind == "sglang" else GREEDY
    server = await remote.server(kind)
    model = remote.model(server.url, kind=kind)
    answers = await asyncio.gather(*(generate(model, prompt, sampling) for prompt in asked))
    assert answers == await in_process(remote.grammar, asked, sampling)
    assert server.running == 0


async def test_sglang_may_send_the_new_ids_or_all_ids(remote: Remote) -> None:
    server = await remote.server("sglang", incremental=True)
    answer = await generate(remote.model(server.url, kind="sglang"), speech(20), SHORT)
    assert [answer] == await in_process(remote.grammar, [speech(20)], SHORT)


async def test_speech_is_one_request_and_a_voice_is_one_for_each_span(remote: Remote, vocabulary: Vocabulary) -> None:
    server = await remote.server()
    model = remote.model(server.url)
    answer = await generate(model, speech(20), GREEDY)
    assert len(server.requests) == 1
    assert server.requests[0]["prompt"] == [0] * 20
    assert len(answer) > 20
    server.requests.clear()
    voice = prompts(vocabulary)[2]
    answer = await generate(model, voice, Sampling(temperature=0, max_tokens=80))
    start = answer.index(vocabulary.id("<|start_global_token|>"))
    *block, globals_, speech_ = server.requests
    assert [request["max_tokens"] for request in block] == [1] * (start + 1)
    assert globals_["prompt"] == [*voice.ids, *answer[: start + 1]]
    assert globals_["max_tokens"] == 32
    assert set(globals_["allowed_token_ids"]) == set(vocabulary.globals.ids)
    assert speech_["prompt"] == [*voice.ids, *answer[: start + 35]]  # no request for ids without an alternative
    assert answer[start + 33 : start + 35] == [
        vocabulary.id("<|end_global_token|>"),
        vocabulary.id("<|start_semantic_token|>"),
    ]


def ends_first(vocabulary: Vocabulary) -> int:
    """The length of a prompt after which an end is preferred most."""
    allowed = [*vocabulary.semantic.ids, *vocabulary.ends]
    return next(n for n in range(1, 4000) if allowed[preferences(n, None)[allowed].argmax()] in vocabulary.ends)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_end_before_any_speech_is_not_accepted(
    remote: Remote, vocabulary: Vocabulary, kind: RemoteKind
) -> None:
    prompt = speech(ends_first(vocabulary))
    server = await remote.server(kind)
    answer = await generate(remote.model(server.url, kind=kind), prompt, Sampling(temperature=0, max_tokens=3))
    assert [answer] == await in_process(remote.grammar, [prompt], Sampling(temperature=0, max_tokens=3))
    assert len(answer) == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_ignores_what_is_allowed_is_an_error(remote: Remote, kind: RemoteKind) -> None:
    server = await remote.server(kind)
    server.obeys = False
    with pytest.raises(BackendFailed, match="ids that the request does not allow; check `kind`"):
        await generate(remote.model(server.url, kind=kind), speech(3), GREEDY)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_seed_decides_and_each_request_of_an_answer_has_its_own(
    remote: Remote, vocabulary: Vocabulary, kind: RemoteKind
) -> None:
    server = await remote.server(kind)
    model = remote.model(server.url, kind=kind)
    voice = prompts(vocabulary)[2]

    def seeds() -> list[int]:
        key = "sampling_seed" if kind == "sglang" else "seed"
        return [(r["sampling_params"] if kind == "sglang" else r)[key] for r in server.requests]

    first = await generate(model, voice, Sampling(seed=2**63 + 1, max_tokens=50))
    assert len(set(seeds())) == len(server.requests) > 2
    assert all(0 <= seed < 2**31 for seed in seeds())
    assert await generate(model, voice, Sampling(seed=2**63 + 1, max_tokens=50)) == first
    assert await generate(model, voice, Sampling(seed=2, max_tokens=50)) != first


async def test_the_sampling_parameters_are_sent_in_each_servers_format(remote: Remote) -> None:
    rules = Sampling(temperature=0.7, top_k=0, top_p=0.9, repetition_penalty=1.2, max_tokens=5)
    sent = {}
    for kind in KINDS:
        server = await remote.server(kind)
        await generate(remote.model(server.url, kind=kind), speech(3), rules)
        sent[kind] = server.requests[0].get("sampling_params", server.requests[0])
    for kind, top_k, penalty in (
        ("vllm", 0, "repetition_penalty"),
        ("sglang", -1, "repetition_penalty"),
        ("llama-server", 0, "repeat_penalty"),
    ):
        asked = sent[kind]  # type: ignore[index]
        assert (asked["temperature"], asked["top_k"], asked["top_p"], asked[penalty]) == (0.7, top_k, 0.9, 1.2)
    assert sent["vllm"]["seed"] is None
    assert "sampling_seed" not in sent["sglang"]
    assert sent["llama-server"]["seed"] == -1


@pytest.mark.parametrize("kind", KINDS)
async def test_next_to_nothing_is_sent_as_what_it_means(remote: Remote, kind: RemoteKind) -> None:
    server = await remote.server(kind)
    tiny = Sampling(temperature=1e-300, top_p=1e-300, max_tokens=3)
    await generate(remote.model(server.url, kind=kind), speech(3), tiny)
    asked = server.requests[0].get("sampling_params", server.requests[0])
    assert (asked["temperature"], asked["top_p"]) == (0, 1e-6)


async def test_a_prompt_that_does_not_fit_is_refused(remote: Remote) -> None:
    server = await remote.server()
    model = remote.model(server.url, context=100)
    with pytest.raises(InvalidRequest, match="100 tokens; this model takes 99"):
        await generate(model, speech(100), GREEDY)
    assert len(await generate(model, speech(95), GREEDY)) == 5  # an answer ends where the context does


async def test_an_answer_that_is_cut_off_is_an_error(remote: Remote) -> None:
    server = await remote.server()
    server.stops_after = 4
    with pytest.raises(BackendFailed, match=r"after 4 of 300 tokens.*`max_context`, which is 4096"):
        await generate(remote.model(server.url), speech(10), GREEDY)


async def test_closing_an_answer_aborts_it_on_the_server(remote: Remote) -> None:
    server = await remote.server()
    server.hushed = 3
    model = remote.model(server.url)
    async with aclosing(model.generate(speech(10), GREEDY)) as answer:
        assert len([await anext(answer) for _ in range(3)]) == 3
        assert server.running == 1
    await until(lambda: server.running == 0)
    server.hushed = None
    assert await generate(model, speech(10), GREEDY)


async def test_the_number_of_slots_is_limited_and_the_earliest_deadline_is_next(remote: Remote) -> None:
    server = await remote.server()
    server.hushed = 1
    model = remote.model(server.url, running=2)

    async def ask(length: int, due: float) -> None:
        async for _ in model.generate(speech(length), Sampling(temperature=0, max_tokens=5), due):
            pass

    asked = [asyncio.create_task(ask(*who)) for who in ((1, 0.0), (2, 0.0), (3, 30.0), (4, 20.0), (5, 10.0))]
    given_up = asyncio.create_task(ask(6, 5.0))
    await until(lambda: server.running == 2)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    server.speak.set()
    await asyncio.gather(*asked)
    assert [len(request["prompt"]) for request in server.requests][2:] == [5, 4, 3]
    assert server.most_running == 2


async def test_closing_the_model_ends_running_and_waiting_requests(remote: Remote) -> None:
    server = await remote.server()
    server.hushed = 2
    model = remote.model(server.url, running=2)
    asked = [asyncio.create_task(generate(model, speech(n), GREEDY)) for n in (1, 2, 3)]
    await until(lambda: server.running == 2)
    async with asyncio.timeout(120):
        await model.close()
        ends = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(end, EngineClosed) for end in ends), ends
    with pytest.raises(EngineClosed):
        await generate(model, speech(1), GREEDY)


def test_a_span_is_as_long_as_the_allowed_rows_are_the_same(vocabulary: Vocabulary) -> None:
    grammar = Grammar(vocabulary)
    rows, count = uniform_span(grammar, grammar.start(OutputGrammar.SPEECH))
    assert set(grammar.ids[rows]) == {*vocabulary.semantic.ids, *vocabulary.ends}
    assert count is None
    state = grammar.start(OutputGrammar.VOICE_AND_SPEECH)
    assert uniform_span(grammar, state)[1] == 1  # a value is allowed only once
    for name in ("<|start_acoustic_token|>", "<|pitch_value_3|>", "<|start_global_token|>"):
        state = grammar.advance(state, grammar.row(vocabulary.id(name)))
    rows, count = uniform_span(grammar, state)
    assert (set(grammar.ids[rows]), count) == (set(vocabulary.globals.ids), 32)
    assert state != ACCEPTED
    assert int(grammar.ids.max()) < IDS
