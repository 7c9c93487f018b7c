"""The benchmark's clients: what they measure, of a server of fakes and of one whose timing is known."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from engine.tokens.vocabulary import Vocabulary
from server.bench.client import Level, Workload, connect, measure
from server.encoding import FORMATS, AudioFormat
from tests.server.conftest import Server
from tests.server.fakes import TEXT, Fakes, metrics, patient, ready
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]

WORKLOAD = Workload((TEXT, "One sentence only."), "alloy", "pcm", 10, stream=True)
SECONDS = (0.6, 0.2)  # of each text at 10 tokens a sentence


def ask(url: str, workload: Workload = WORKLOAD, clients: int = 1, requests: int = 1) -> Level:
    async def run() -> Level:
        async with connect(url) as http:
            return await measure(http, workload, clients, requests)

    return asyncio.run(run())


@pytest.fixture
def fakes(vocabulary: Vocabulary, tmp_path: Path) -> Fakes:
    return Fakes(vocabulary, tmp_path, patient(max_requests=4, max_waiting=0))


@pytest.fixture
def url(fakes: Fakes, serve: Serve) -> str:
    url = serve(fakes.app).url
    with httpx.Client(base_url=url, timeout=60) as http:
        wait_until(lambda: ready(http))
    return url


def test_every_request_is_sent_and_its_audio_counted(url: str, fakes: Fakes) -> None:
    level = ask(url, clients=3, requests=10)
    assert level.clients == 3
    assert [answer.error for answer in level.answers] == [None] * 10
    assert sum(answer.audio for answer in level.answers) == pytest.approx(5 * sum(SECONDS), abs=0.01)
    for answer in level.answers:
        assert 0 < answer.first_audio <= answer.total <= level.seconds
    with httpx.Client(base_url=url, timeout=60) as http:
        assert metrics(http)["requests_total ok"] == 10


def test_requests_differ_in_their_seeds_and_two_runs_do_not(url: str, fakes: Fakes) -> None:
    ask(url)  # the voice is made
    known = len(fakes.language_model.samplings)
    for _ in range(2):
        ask(url, clients=2, requests=6)
    seeds = [sampling.seed for sampling in fakes.language_model.samplings[known:]]
    assert len(seeds) == 2 * 6 * 2  # a text of three sentences and one of one by turns
    assert set(seeds[:12]) == set(seeds[12:])
    assert len(set(seeds)) == 12


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_length_is_known_in_every_format(url: str, audio_format: AudioFormat) -> None:
    (answer,) = ask(url, replace(WORKLOAD, audio_format=audio_format)).answers
    assert answer.error is None
    assert answer.audio == pytest.approx(SECONDS[0], abs=0.1)


def test_who_waits_for_the_whole_hears_nothing_before(url: str) -> None:
    (answer,) = ask(url, replace(WORKLOAD, stream=False)).answers
    assert answer.first_audio == answer.total
    assert answer.underruns == 0


def test_what_is_refused_is_an_error_with_the_servers_words(url: str) -> None:
    (answer,) = ask(f"{url}/v1/", replace(WORKLOAD, voice="nobody")).answers
    assert answer.error
    assert answer.error.startswith("400: There is no voice 'nobody'")


def test_overload_is_counted(url: str, fakes: Fakes) -> None:
    ask(url)  # the voice is made
    errors = [answer.error for answer in ask(url, clients=30, requests=30).answers]
    assert all(error is None or error.startswith("429: ") for error in errors)
    assert errors.count(None) >= 4


def test_an_answer_that_breaks_off_is_an_error(url: str, fakes: Fakes) -> None:
    ask(url)
    fakes.language_model.fail_at = len(fakes.language_model.prompts) + 2
    (answer,) = ask(url).answers
    assert answer.error
    assert answer.error.startswith("RemoteProtocolError: ")


def test_playback_that_stalls_is_counted(serve: Serve) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for pause, seconds in ((0, 0.1), (0.5, 2), (0.1, 1), (0.1, 1)):  # the second comes 0.4 s late, none after it
            await asyncio.sleep(pause)
            yield bytes(round(seconds * 48_000))

    app = FastAPI()
    app.add_api_route("/v1/audio/speech", lambda: StreamingResponse(pieces(), media_type="audio/pcm"), methods=["POST"])
    (answer,) = ask(serve(app).url).answers
    assert answer.underruns == 1
    assert answer.audio == pytest.approx(4.1)
    assert answer.total > answer.first_audio + 0.5


def test_a_page_that_is_no_audio_is_an_error(serve: Serve) -> None:
    app = FastAPI()
    app.add_api_route("/v1/audio/speech", lambda: "Welcome", methods=["POST"])
    (answer,) = ask(serve(app).url).answers
    assert answer.error == "The answer is no audio."
