"""A server with the demo model in a separate process, shared by the attacks."""

from collections.abc import Iterator

import httpx
import pytest

from tests.attacks.running import Attacked, settings_file
from tests.server.conftest import running_command


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """The server; whatever was done to it, it answers at the end, and has logged no stack trace."""
    directory = tmp_path_factory.mktemp("attacked")
    with running_command(directory / "log", "--config", str(settings_file(directory))) as running:
        attacked = Attacked(running.url, running.log, running.pid, directory)
        yield attacked
        assert attacked.speaks()
    assert "Traceback" not in running.log.read_text(), running.log.read_text()


@pytest.fixture
def http(attacked: Attacked) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=attacked.url, timeout=240) as http:
        yield http
