"""Only their owner can read files with private data."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from engine.tokens.vocabulary import Vocabulary
from server.settings import load_settings
from tests.server.conftest import serving
from tests.server.fakes import Fakes
from tests.waiting import wait_until

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("mode", "content", "warned"),
    [(0o600, f"ada: {KEY}", False), (0o644, f"ada: {KEY}", True), (0o644, f"ada: sha256:{'0' * 64}", False)],
)
def test_a_file_of_keys_that_others_can_read_gets_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, content: str, warned: bool
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(content)
    file.chmod(mode)
    settings = load_settings(None, {"api_keys_file": str(file)})
    assert settings.keys().keys() == settings.keys().keys() == {"ada"}
    assert caplog.text.count(f"chmod 600 {file}") == warned
    assert KEY not in caplog.text


def test_an_upload_on_disk_can_be_read_by_its_owner_only(
    vocabulary: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a large upload is sent, so that the server holds it in a temporary file."""

    def uploads() -> list[os.stat_result]:
        links = {link: os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
        deleted = [link for link, path in links.items() if path.startswith(str(directory)) and "(deleted)" in path]
        return [status for link in deleted if (status := os.fstat(int(link.name))).st_size > 2**20]

    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    head = b"POST /v1/audio/voices HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n"
    head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="audio_sample"; filename="a.wav"\r\n\r\n'
    with serving(Fakes(vocabulary, tmp_path).app) as running:
        host, port = running.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(head + part + bytes(4 * 2**20))
            wait_until(lambda: bool(uploads()))
            assert all(status.st_mode & 0o077 == 0 and status.st_nlink == 0 for status in uploads())
            assert list(directory.iterdir()) == []
