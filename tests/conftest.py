"""What tests share, made anew for each run: checkpoints, a Ray cluster, and a home for what the program keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.checkpoints.synthetic import write_checkpoint
from engine.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tests.cluster.running import Machines

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
SLOW = {HERE / folder for folder in ("attacks", "clients", "cluster", "studio")}  # they start processes
ALONE = {HERE / "attacks" / "test_load.py", HERE / "engine" / "codec", HERE / "engine" / "llm"}  # on all cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        places = {item.path, *item.path.parents}
        if SLOW & places:
            item.add_marker(pytest.mark.slow)
        if ALONE & places:
            item.add_marker(pytest.mark.alone)
        if HERE / "cluster" in places:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test, nor a program that it starts, sees the user's models, voices or settings."""
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("home")
    patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    patch.setenv("XDG_DATA_HOME", str(home / "data"))
    patch.setenv("FAST_SPARK_TUNE", "false")  # each checkpoint would be measured, for a minute


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoints") / "small"
    write_checkpoint(directory, "small")
    return directory


@pytest.fixture(scope="session")
def full_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoints") / "full"
    write_checkpoint(directory, "full")
    return directory


@pytest.fixture(scope="session")
def vocabulary(small_checkpoint: Path) -> Vocabulary:
    return Vocabulary(small_checkpoint / "LLM" / "tokenizer.json")


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def ray_machines() -> Iterator[Machines]:
    """A cluster of two nodes, on which there is one server at a time: that of tests/cluster, then of tests/server."""
    from tests.cluster.running import machines

    with machines(2) as running:
        yield running
