"""Full disks: requests that need disk space get a clear error, and all other requests succeed."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from engine import checkpoints
from tests.attacks.running import SHORT, settings_file
from tests.server.commands import refused
from tests.server.conftest import COMMAND, running_command
from tests.server.fakes import ready
from tests.server.uploads import agree, sound, upload
from tests.waiting import wait_until


@contextmanager
def disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of this size, in memory; needs the right to mount one."""
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path, leave: int = 0) -> Path:
    """Take all space but so many bytes."""
    free = shutil.disk_usage(directory).free - leave
    file = directory / "filler"
    file.write_bytes(bytes(max(free, 0)))
    return file


def test_uploads_are_refused_and_speech_goes_on(tmp_path: Path) -> None:
    sample = sound(seconds=3, rate=48_000)
    with disk(tmp_path / "disk", "4m") as full:
        file = settings_file(full)
        with (
            running_command(tmp_path / "log", "--config", str(file)) as running,
            httpx.Client(base_url=running.url, timeout=60) as http,
        ):
            kept = upload(http, "Kept", sample)
            assert kept.status_code == 200, kept.text
            filler = fill(full)
            for answer in (upload(http, "Not kept", sample), agree(http, sample)):
                assert answer.status_code == 503, answer.text
                assert answer.json()["error"]["code"] == "store_failed"
                assert "full" in answer.json()["error"]["message"]
            for voice in ("alloy", "nova", kept.json()["id"]):
                assert http.post("/v1/audio/speech", json=SHORT | {"voice": voice}).status_code == 200
            names = [voice["name"] for voice in http.get("/v1/audio/voices?limit=100").json()["data"]]
            assert "Kept" in names
            assert "Not kept" not in names
            filler.unlink()
            assert upload(http, "Kept as well", sample).status_code == 200
            assert http.get(f"/v1/audio/voices/{kept.json()['id']}/sample").content == sample


def test_a_conversion_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    with disk(tmp_path / "disk", "60m") as full:
        model = Path(shutil.copytree(checkpoints.locate("demo"), full / "model"))
        for made in model.rglob("*.gguf"):
            made.unlink()
        filler = fill(full, leave=500_000)
        line = refused("models", "convert", str(model), "--quantize", "float32")
        assert "cannot be written" in line
        assert "The disk has 0.0 GB free" in line
        assert list(model.rglob("*.gguf")) == []
        filler.unlink()
        subprocess.run([COMMAND, "models", "convert", str(model), "--quantize", "float32"], check=True, timeout=120)
        assert len(list(model.rglob("*.gguf"))) == 1


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = settings_file(tmp_path, port=port)
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen([COMMAND, "serve", "--config", str(file)], stdout=full, stderr=full)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:

            def answers() -> bool:
                assert process.poll() is None
                try:
                    return ready(http)
                except httpx.TransportError:
                    return False

            wait_until(answers)
            for _ in range(3):
                assert http.post("/v1/audio/speech", json=SHORT).status_code == 200
            assert http.post("/v1/audio/speech", json=SHORT | {"voice": "nobody"}).status_code == 400
    finally:
        process.terminate()
        process.wait(120)
