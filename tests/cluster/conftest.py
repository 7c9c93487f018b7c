"""A cluster for the tests of this folder, with engines that keep a pace by sleeping: the machine has two cores."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from benchmarks.paced import paced_engine
from engine import EngineConfig, Observer, SpeechEngine
from server.settings import Settings
from tests.cluster.running import Control, Nodes, free_port, nodes, postgres

SLOTS = 16
STEP_SECONDS = 0.01  # twice as fast as speech


@dataclass(frozen=True)
class PacedCluster:
    control: Control
    url: str
    port: int
    settings: Settings
    death: Path
    """A file; once it is there, the engine of one replica dies, and removes it."""

    def deploy(self, replicas: int, **settings: object) -> None:
        """Deploy again with other settings or replicas."""
        changed = self.settings.model_copy(update=settings)
        load = partial(mortal_engine, config=changed.engine, death=self.death)
        self.control.call(Nodes.serve, changed, self.port, replicas, load)

    def replicas(self) -> dict[int, str]:
        return self.control.call(Nodes.replicas)


def mortal_engine(observer: Observer, config: EngineConfig, death: Path) -> SpeechEngine:
    def die() -> None:
        while True:
            with suppress(FileNotFoundError):
                death.unlink()
                observer.death("The device is gone.")
                return
            time.sleep(0.1)

    threading.Thread(target=die, daemon=True).start()
    return paced_engine(observer, config, SLOTS, STEP_SECONDS)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PacedCluster]:
    """Two nodes with room for two replicas each, and PostgreSQL."""
    pytest.importorskip("ray", reason="pip install 'fast-spark[cluster]'")
    with postgres() as database, nodes(2) as control:
        engine = EngineConfig(voices=database.new_database(), threads=1, sentences_ahead=1)
        settings = Settings(engine=engine, max_requests=SLOTS, api_keys={"ada": "0123456789abcdef"}, nice=0)
        port = free_port()
        death = tmp_path_factory.mktemp("cluster") / "death"
        cluster = PacedCluster(control, f"http://127.0.0.1:{port}", port, settings, death)
        cluster.deploy(2)
        yield cluster


@pytest.fixture
def http(cluster: PacedCluster) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer 0123456789abcdef"}
    with httpx.Client(base_url=cluster.url, headers=headers, timeout=60) as http:
        yield http
