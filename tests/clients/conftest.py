"""One server for all clients: `fast-spark serve` with the demo model."""

from collections.abc import Iterator

import pytest

from tests.server.conftest import Server, running_command


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("clients") / "log"
    with running_command(log) as running:
        yield running
    assert "Traceback" not in log.read_text(), log.read_text()
