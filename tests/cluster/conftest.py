"""The server of this folder's tests on the cluster that all tests share."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster.running import Machines
from tests.server.conftest import Server

KEY = "0123456789abcdef"


@dataclass(frozen=True)
class PacedCluster:
    machines: Machines
    voices: str
    """The URL of the voice store."""
    death: Path
    """A file; once it is there, the engine of one replica dies, and removes it."""

    @property
    def server(self) -> Server:
        return Server(self.machines.url, Path("none"), 0)

    def deploy(self, replicas: int, **settings: Any) -> None:
        """Deploy with other settings or replicas; returns when all is ready. Other settings replace all replicas."""
        engine = {"voices": self.voices, "threads": 1, "sentences_ahead": 1}
        all_settings = {"engine": engine, "max_requests": 32, "api_keys": {"ada": KEY}, "nice": 0, **settings}
        arguments = {"settings": all_settings, "death": str(self.death)}
        self.machines.deploy("tests.cluster.paced:app", arguments, replicas)


@pytest.fixture(scope="session")
def paced(ray_machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> PacedCluster:
    death = tmp_path_factory.mktemp("cluster") / "death"
    return PacedCluster(ray_machines, ray_machines.database.new_database(), death)


@pytest.fixture
def cluster(paced: PacedCluster) -> PacedCluster:
    """The server with two replicas."""
    paced.deploy(2)
    return paced


@pytest.fixture
def http(cluster: PacedCluster) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=cluster.machines.url, headers=headers, timeout=240) as http:
        yield http
