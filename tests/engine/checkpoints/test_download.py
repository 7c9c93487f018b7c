"""Downloading checkpoints: by the real command, from a hub on this machine."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from engine import checkpoints
from engine.checkpoints.layout import COMPANIONS, LAYOUT
from engine.config import SPARK_TTS
from engine.config import Hub as HubName
from engine.errors import CheckpointError
from tests.engine.checkpoints.files import WEIGHTS, make_layout
from tests.engine.checkpoints.hubs import Hub
from tests.waiting import NEVER, wait_until

COMMAND = Path(sys.executable).parent / "fast-spark"
MODEL = "acme/spark-tts"
HALF = 12_000_000  # bytes; huggingface_hub reads and writes 10 MiB at a time

pytestmark = pytest.mark.slow  # each starts commands

both_hubs = pytest.mark.parametrize("hub_name", get_args(HubName))


@pytest.fixture
def files() -> dict[str, bytes]:
    """What the model on the hub consists of: the needed files, others, and one that is worth going on with."""
    small = {name: name.encode() * 100 for name in (*LAYOUT, *COMPANIONS, "README.md", "src/figure.png")}
    return {**small, WEIGHTS: b"spark" * (2 * HALF // 5)}


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    with Hub(MODEL, files) as hub:
        yield hub


@pytest.fixture
def environment(hub: Hub, cache: Path, tmp_path: Path) -> dict[str, str]:
    """Of a command that knows no hub but the local one, nor anything of this user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "MODELSCOPE_"))}
    home = tmp_path / "home"
    addresses = {"HF_ENDPOINT": hub.address, "MODELSCOPE_ENDPOINT": hub.address}
    patience = dict.fromkeys(("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"), str(NEVER))
    return {**kept, **addresses, **patience, "HOME": str(home), "HF_HOME": str(home / "huggingface"), "COLUMNS": "200"}


class Download:
    """`fast-spark models download`, begun."""

    def __init__(
        self, environment: dict[str, str], name: str, hub_name: str, before: Callable[[], None] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "models", "download", name, "--from", hub_name],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )

    def end(self) -> tuple[int, str]:
        """Exit code, and what was said: progress bars, then one line."""
        _, errors = self.process.communicate(timeout=120)
        assert "Traceback" not in errors
        return self.process.returncode, errors


def download(environment: dict[str, str], hub_name: str, name: str = MODEL) -> tuple[int, str]:
    return Download(environment, name, hub_name).end()


def last_line(output: str) -> str:
    return output.strip().splitlines()[-1]


def content(directory: Path) -> dict[str, bytes]:
    """The model's files that are in a directory; what the clients note for themselves is left out."""
    paths = [path for path in directory.rglob("*") if path.is_file()]
    names = {path.relative_to(directory).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".")}


@both_hubs
def test_a_download_brings_the_files_that_are_needed_and_a_second_one_brings_nothing(
    hub_name: str, hub: Hub, environment: dict[str, str], files: dict[str, bytes]
) -> None:
    code, said = download(environment, hub_name)
    directory = checkpoints.downloaded(MODEL)
    assert code == 0
    assert last_line(said) == f"{MODEL} is in {directory}"
    assert "100%" in said  # the progress bar
    assert content(directory) == {name: files[name] for name in (*LAYOUT, *COMPANIONS)}
    assert checkpoints.locate(MODEL) == directory

    hub.transfers.clear()
    assert download(environment, hub_name)[0] == 0
    assert hub.transfers == []


@both_hubs
def test_a_broken_connection_is_taken_up_where_it_broke(
    hub_name: str, hub: Hub, environment: dict[str, str], files: dict[str, bytes]
) -> None:
    hub.breaks[WEIGHTS] = [HALF]
    assert download(environment, hub_name)[0] == 0
    assert content(checkpoints.downloaded(MODEL))[WEIGHTS] == files[WEIGHTS]
    first, second = hub.starts(WEIGHTS)
    assert first == 0
    assert HALF - 10 * 2**20 < second <= HALF


@both_hubs
def test_a_killed_download_is_incomplete_and_goes_on_with_what_it_lacks(
    hub_name: str, hub: Hub, environment: dict[str, str], files: dict[str, bytes]
) -> None:
    hub.holds[WEIGHTS] = HALF
    killed = Download(environment, MODEL, hub_name)
    assert hub.held.wait(NEVER)
    others = [name for name in LAYOUT if name != WEIGHTS]
    directory = checkpoints.downloaded(MODEL)
    written = 10 * 2**20 if hub_name == "huggingface" else HALF
    wait_until(lambda: checkpoints.missing_files(directory) == [WEIGHTS] and largest(directory) >= written)
    killed.process.send_signal(signal.SIGKILL)
    killed.process.communicate()

    assert checkpoints.missing_files(directory) == [WEIGHTS]
    assert checkpoints.local_models()[1:] == [(MODEL, directory)]
    with pytest.raises(CheckpointError, match=f"{WEIGHTS} is missing.*fast-spark models download {MODEL}"):
        checkpoints.locate(str(directory))

    hub.holds.clear()
    hub.transfers.clear()
    assert download(environment, hub_name)[0] == 0
    assert content(directory) == {name: files[name] for name in (*LAYOUT, *COMPANIONS)}
    assert not any(hub.sent(name) for name in others)
    # modelscope goes on with a half file; huggingface_hub only within one run, and must not leave it lying about
    assert hub.starts(WEIGHTS) == [0 if hub_name == "huggingface" else HALF]
    assert not list(directory.rglob("*.incomplete"))


@both_hubs
def test_a_gated_model_is_refused_with_what_would_open_it(hub_name: str, hub: Hub, environment: dict[str, str]) -> None:
    hub.gate = 403
    code, said = download(environment, hub_name)
    assert code == 1
    assert f"{hub_name} denies access to {MODEL} (403). Accept the model's conditions" in last_line(said)
    assert "TOKEN" in last_line(said)
    assert checkpoints.missing_files(checkpoints.downloaded(MODEL)) == list(LAYOUT)


@both_hubs
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, ["There is no model", MODEL, SPARK_TTS, "_TOKEN"]),
        (401, ["denies access to", MODEL, "_TOKEN"]),
        (500, ["answered with an error (500)", "_ENDPOINT"]),
    ],
)
def test_a_refusal_is_one_line_that_says_what_would_be_right(
    hub_name: str, status: int, words: list[str], hub: Hub, environment: dict[str, str]
) -> None:
    hub.refuse = status
    code, said = download(environment, hub_name)
    assert code == 1
    assert len(said.strip().splitlines()) == 1
    assert [word for word in words if word not in said] == []
    assert hub_name in said


@both_hubs
def test_a_hub_that_cannot_be_reached_is_said_so(hub_name: str, hub: Hub, environment: dict[str, str]) -> None:
    hub.__exit__(None, None, None)
    code, said = download(environment, hub_name)
    assert code == 1
    assert len(said.strip().splitlines()) == 1
    assert f"{hub_name} cannot be reached (Connection refused)" in said
    assert "_ENDPOINT" in said
    assert "run the same command again" in said


def test_a_connection_that_breaks_again_and_again_is_said_so(hub: Hub, environment: dict[str, str]) -> None:
    hub.breaks[WEIGHTS] = [HALF, *[0] * 100]
    code, said = download(environment, "huggingface")
    assert code == 1
    assert "The connection to huggingface was lost (" in last_line(said)
    assert last_line(said).endswith("Run the same command again to continue the download.")
    assert checkpoints.missing_files(checkpoints.downloaded(MODEL)) == [WEIGHTS]


@both_hubs
def test_another_kind_of_model_is_refused_before_its_files_are_fetched(
    hub_name: str, hub: Hub, environment: dict[str, str]
) -> None:
    del hub.files["BiCodec/config.yaml"]
    code, said = download(environment, hub_name)
    assert code == 1
    assert f"{MODEL} on {hub_name} is not a Spark-TTS checkpoint: it has no BiCodec/config.yaml." in said
    assert hub.transfers == []


@both_hubs
def test_a_full_disk_is_found_before_the_download(hub_name: str, hub: Hub, environment: dict[str, str]) -> None:
    hub.sizes[WEIGHTS] = 10**18
    code, said = download(environment, hub_name)
    assert code == 1
    assert "needs 1000000000.0 GB" in said
    assert "XDG_CACHE_HOME" in said
    assert hub.transfers == []


def test_a_disk_that_takes_no_more_is_said_so(environment: dict[str, str]) -> None:
    def allow_small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, HALF))

    code, said = Download(environment, MODEL, "huggingface", allow_small_files_only).end()
    assert code == 1
    assert "The model cannot be written (File too large" in last_line(said)
    assert checkpoints.missing_files(checkpoints.downloaded(MODEL)) == [WEIGHTS]


def test_a_cache_that_cannot_be_written_is_said_so(hub: Hub, environment: dict[str, str], cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where a directory should be")
    code, said = download(environment, "huggingface")
    assert code == 1
    assert len(said.strip().splitlines()) == 1
    assert "The model cannot be written" in said
    assert str(cache) in said
    assert hub.paths == []


def test_two_downloads_at_once_fetch_each_file_once(hub: Hub, environment: dict[str, str]) -> None:
    both = [Download(environment, MODEL, "huggingface") for _ in range(2)]
    assert [running.end()[0] for running in both] == [0, 0]
    assert hub.starts(WEIGHTS) == [0]


@pytest.mark.parametrize("name", ["../x", "x/..", "a", "a/b/c", "", "/a", "a/", "a b/c", ".a/b", "-a/b", "a--b/c"])
def test_a_wrong_name_is_refused_before_anything_is_asked_or_made(name: str, cache: Path) -> None:
    with pytest.raises(CheckpointError, match=f"is not the name of a model. Give OWNER/NAME, such as {SPARK_TTS}"):
        checkpoints.download(name, "huggingface")
    assert not cache.exists()


def test_a_model_that_is_there_is_found_without_a_hub(hub: Hub, environment: dict[str, str], cache: Path) -> None:
    directory = cache / "models" / "acme--spark-tts"
    make_layout(directory)
    found = subprocess.run(
        [sys.executable, "-c", f"from engine import checkpoints; print(checkpoints.locate({MODEL!r}))"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(directory)
    assert hub.paths == []


def largest(directory: Path) -> int:
    """Bytes of the largest file."""
    return max(path.stat().st_size for path in directory.rglob("*") if path.is_file())
