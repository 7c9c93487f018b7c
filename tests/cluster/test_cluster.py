"""Replicas come, go and die under load: what clients see of it, and what the counters say."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.conftest import PacedCluster
from tests.cluster.running import Nodes
from tests.server.commands import refused
from tests.server.conftest import COMMAND
from tests.server.fakes import metrics
from tests.server.test_batch import entries, write_lines
from tests.server.uploads import upload
from tests.waiting import wait_until

SPEECH = "/v1/audio/speech"
SHORT = {"model": "tts-1", "voice": "alloy", "input": "Hi.", "response_format": "pcm", "max_tokens": 20}
LONG = SHORT | {"input": "This sentence takes a second to say. " * 10, "max_tokens": 100}
STREAMS = 30


def counters(http: httpx.Client, replicas: int) -> list[dict[str, float]]:
    """The metrics of each replica. They are asked for many times at once, because a busy replica gets few requests."""
    found: dict[str, dict[str, float]] = {}

    def complete() -> bool:
        with ThreadPoolExecutor(STREAMS) as pool:
            for values in pool.map(lambda _: metrics(http), range(STREAMS)):
                found[next(name for name in values if name.startswith("replica_info"))] = values
        return len(found) == replicas

    wait_until(complete)
    return list(found.values())


def total(http: httpx.Client, replicas: int, name: str) -> float:
    return sum(values.get(name, 0) for values in counters(http, replicas))


def test_a_voice_speaks_through_each_replica_at_once(cluster: PacedCluster, http: httpx.Client, golden: Path) -> None:
    voice = upload(http, "Ada", (golden / "clip.wav").read_bytes()).raise_for_status().json()["id"]
    before = [values.get("requests_total ok", 0) for values in counters(http, 2)]
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(http.post, SPEECH, json=SHORT | {"voice": name}) for name in ["Ada", voice] * 12]
    assert [answer.result().status_code for answer in asked] == [200] * 24
    assert min(values.get("requests_total ok", 0) for values in counters(http, 2)) > min(before)
    assert total(http, 2, "requests_total ok") - sum(before) == 24


def test_the_scrapes_of_the_nodes_have_all_replicas(cluster: PacedCluster, http: httpx.Client) -> None:
    asked = sum(values.get("requests_total ok", 0) for values in counters(http, 2))
    exporters = cluster.machines.control.call(Nodes.exporters)

    def scraped() -> list[float]:
        texts = [httpx.get(exporter, timeout=240).text for exporter in exporters]
        families = [family for text in texts for family in text_string_to_metric_families(text)]
        samples = [sample for family in families for sample in family.samples]
        return [
            sample.value
            for sample in samples
            if sample.name == "ray_fast_spark_requests_total" and sample.labels["outcome"] == "ok"
        ]

    wait_until(lambda: len(scraped()) == 2 and sum(scraped()) == asked)


def test_clients_that_leave_free_their_slots(cluster: PacedCluster, http: httpx.Client) -> None:
    cancelled = total(http, 2, "requests_total cancelled")
    with ExitStack() as streams:
        answers = [streams.enter_context(http.stream("POST", SPEECH, json=LONG)).iter_raw() for _ in range(8)]
        for answer in answers:
            next(answer)
        assert total(http, 2, "requests_running") == 8
    left = time.monotonic()
    wait_until(lambda: total(http, 2, "requests_running") == 0)
    print(f"Slots were free {time.monotonic() - left:.2f} s after their clients had left, the scrapes included.")
    assert total(http, 2, "requests_total cancelled") - cancelled == 8


@contextmanager
def load(http: httpx.Client, clients: int) -> Iterator[list[tuple[float, int | str]]]:
    """Clients that ask again and again; when they got what: a status, or the name of an error."""
    stop = threading.Event()
    outcomes: list[tuple[float, int | str]] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                answer = http.post(SPEECH, json=SHORT)
                outcome: int | str = answer.status_code
                if outcome == 200 and len(answer.content) != 20 * 960:
                    outcome = "incomplete"
            except httpx.HTTPError as error:
                outcome = type(error).__name__
            outcomes.append((time.monotonic(), outcome))

    with ThreadPoolExecutor(clients) as pool:
        for _ in range(clients):
            pool.submit(ask)
        try:
            yield outcomes
        finally:
            stop.set()


def more(outcomes: list[tuple[float, int | str]], number: int) -> None:
    """Wait for these many more outcomes."""
    done = len(outcomes)
    wait_until(lambda: len(outcomes) >= done + number)


def test_scaling_and_a_rolling_update_lose_no_request(cluster: PacedCluster, http: httpx.Client) -> None:
    cluster.deploy(1)
    with load(http, 6) as outcomes:
        cluster.deploy(3)
        before = set(cluster.machines.replicas())
        cluster.deploy(3, speak_nothing="error")  # another setting: all replicas are replaced, one after the other
        assert not before.intersection(cluster.machines.replicas())
        cluster.deploy(1, speak_nothing="error")
        assert http.post(SPEECH, json=SHORT | {"input": "..."}).status_code == 400
        cluster.deploy(1)  # replaces the only replica
        more(outcomes, 12)
    assert {outcome for _, outcome in outcomes} == {200}


def stream(http: httpx.Client, heard: threading.Event) -> int | None:
    """The number of bytes of a long answer; None if it breaks off."""
    try:
        with http.stream("POST", SPEECH, json=LONG) as answer:
            size = 0
            for data in answer.iter_raw():
                heard.set()
                size += len(data)
            return size
    except httpx.RemoteProtocolError:
        return None


@pytest.mark.parametrize("dies", ["replica", "node"])
def test_a_death_breaks_the_streams_of_the_dead_and_no_other(
    cluster: PacedCluster, http: httpx.Client, golden: Path, dies: str
) -> None:
    limits = httpx.Limits(max_connections=None)
    with (
        httpx.Client(base_url=http.base_url, headers=http.headers, timeout=240, limits=limits) as many,
        ThreadPoolExecutor(STREAMS) as pool,
        load(http, 2) as outcomes,
    ):
        heard = [threading.Event() for _ in range(STREAMS)]
        asked: list[Future[int | None]] = [pool.submit(stream, many, event) for event in heard]
        wait_until(lambda: all(event.is_set() for event in heard))
        voice = upload(http, f"Said before a {dies} died", (golden / "clip.wav").read_bytes()).json()["id"]
        died = time.monotonic()
        if dies == "replica":
            os.kill(next(iter(cluster.machines.replicas())), signal.SIGKILL)
        else:
            cluster.machines.control.call(Nodes.kill_node)
        sizes = [answer.result() for answer in asked]
        more(outcomes, 20)
        if dies == "node":
            cluster.machines.control.call(Nodes.add_node)
        cluster.machines.settle(2)
        last = max([when - died for when, outcome in outcomes if outcome != 200], default=0)
        settled = len(outcomes)
        more(outcomes, 20)
    assert 0 < sizes.count(None) < STREAMS
    assert set(sizes) == {None, len(http.post(SPEECH, json=LONG).content)}
    assert voice in {one["id"] for one in http.get("/v1/audio/voices").json()["data"]}
    assert http.post(SPEECH, json=SHORT | {"voice": voice}).status_code == 200
    assert {outcome for _, outcome in outcomes[settled:]} == {200}
    broken = sizes.count(None)
    print(f"{broken} of {STREAMS} streams broke; {last:.2f} s after the {dies} had died, the last request failed.")


def test_a_replica_whose_engine_is_dead_is_replaced(cluster: PacedCluster, http: httpx.Client) -> None:
    before = set(cluster.machines.replicas())
    cluster.death.touch()
    wait_until(lambda: len(before.difference(cluster.machines.replicas())) == 1)
    cluster.machines.settle(2)
    assert {http.post(SPEECH, json=SHORT).status_code for _ in range(12)} == {200}


def test_a_full_cluster_says_when_to_come_back(cluster: PacedCluster, http: httpx.Client) -> None:
    cluster.deploy(2, max_requests=2, max_waiting=1)
    with ThreadPoolExecutor(20) as pool:
        answers = [answer.result() for answer in [pool.submit(http.post, SPEECH, json=LONG) for _ in range(20)]]
    refusals = [answer for answer in answers if answer.status_code != 200]
    assert 0 < len(refusals) < 20
    for answer in refusals:
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "overloaded"
        assert int(answer.headers["retry-after"]) > 0


def test_what_a_cluster_cannot_serve_is_refused_in_one_line(paced: PacedCluster, tmp_path: Path) -> None:
    address = paced.machines.control.call(Nodes.address)
    assert "Set engine.voices to a PostgreSQL database" in refused(
        "serve", "--cluster", address, RAY_AUTH_MODE="disabled"
    )
    assert "No connection to a Ray cluster at 127.0.0.1:1" in refused("serve", "--cluster", "127.0.0.1:1")
    without_token = {"RAY_AUTH_MODE": "token", "HOME": str(tmp_path)}
    assert "no authentication token was found" in refused("serve", "--cluster", address, **without_token)


def test_a_batch_on_the_cluster_loses_nothing_with_a_worker(paced: PacedCluster, tmp_path: Path) -> None:
    rows = [{"id": f"{number}", "text": f"Line {number}.", "max_tokens": 20} for number in range(48)]
    rows[7]["voice"] = "nobody"
    out = tmp_path / "out"
    environment = {"RAY_AUTH_MODE": "disabled", "FAST_SPARK_ENGINE__VOICES": paced.voices}
    environment |= {"FAST_SPARK_ENGINE__THREADS": "1"}
    file = write_lines(tmp_path / "in.jsonl", rows)
    command = [COMMAND, "batch", file, "-o", out, "--cluster", paced.machines.control.call(Nodes.address)]
    process = subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.PIPE, text=True)
    wait_until(out.exists)
    wait_until(lambda: bool(paced.machines.control.call(Nodes.actors, "NarratorActor")))
    os.kill(paced.machines.control.call(Nodes.actors, "NarratorActor")[0], signal.SIGKILL)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "1 of 48 lines failed" in said
    done = entries(out)
    assert set(done) == {row["id"] for row in rows}
    assert done.pop("7").error == "There is no voice 'nobody'."
    assert all((out / f"{name}.mp3").stat().st_size == entry.size for name, entry in done.items())
