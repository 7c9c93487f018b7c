"""Every command and every program that the documentation shows is run, in order, page by page, as a reader does.

Blocks marked `python` and `sh` are run beside a server with the demo model, in a directory with a sample `ada.wav`.
What a reader runs once for his machine is not: installation, downloads, containers, the server itself.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks
from tests.server.conftest import COMMAND, Server, running_command

NOT_RUN = re.compile(
    r"^(\w+=\S+ )*(apt|docker|git clone|make|pip|python3 -m venv|\.ci/run|sudo|\S*pip install"
    r"|\S*fast-spark (serve|tune|models download|models convert)|\.venv/bin/(ray|serve)|python -m benchmarks|export)\b",
    re.MULTILINE,
)
TESTED_ELSEWHERE = {"README.zh.md", "demo/README.md", "docs/clients.md"}


def examples(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in ("python", "sh") and not NOT_RUN.search(block.code)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server as a reader starts it; the commands beside it use its voice store."""
    directory = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAST_SPARK_ENGINE__DATA_DIRECTORY", str(directory))
        patch.setenv("PATH", f"{COMMAND.parent}:{os.environ['PATH']}")
        with running_command(directory / "log") as running:
            yield running


@pytest.fixture
def directory(server: Server, golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a reader works; what he makes on one page is gone on the next."""
    shutil.copy(golden / "clip.wav", tmp_path / "ada.wav")
    for folder in ("configs", "scripts"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "docs").mkdir()
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    monkeypatch.setenv("CURL_HOME", str(tmp_path))
    yield tmp_path
    voices = f"{server.url}/v1/audio/voices"
    for voice in httpx.get(voices, params={"limit": 100}, timeout=240).raise_for_status().json()["data"]:
        if voice["scope"] != "built_in":
            httpx.delete(f"{voices}/{voice['id']}", timeout=240).raise_for_status()


def run(block: Block, url: str, directory: Path) -> None:
    code = block.code.replace("127.0.0.1:8000", url.removeprefix("http://")).replace("--size full", "--size small")
    command = [sys.executable, "-c", code] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"line {block.line}:\n{done.stdout}{done.stderr}"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl: apt install curl")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if examples(page) and name(page) not in TESTED_ELSEWHERE], ids=name
)
def test_the_examples_of_a_page_work(page: Path, server: Server, directory: Path) -> None:
    for block in examples(page):
        run(block, server.url, directory)


def test_the_chinese_readme_shows_the_examples_of_the_english_one() -> None:
    def shown(page: str) -> list[str]:
        return [re.sub(r"  #.*", "", block.code) for block in examples(ROOT / page)]

    assert shown("README.zh.md") == shown("README.md")


def test_the_chinese_readme_has_the_figures_of_the_english_one() -> None:
    def figures(page: str) -> list[list[str]]:
        rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        return [re.findall(r"\d+(?:\.\d+)?", row) for row in rows]

    assert figures("README.zh.md") == figures("README.md")
