"""Every command and every program that the documentation shows is run, in order, page by page, as a reader does.

Blocks marked `python` and `sh` are run against a server with the demo model, in a directory with a sample `ada.wav`.
What a reader runs once for his machine is not: installation, downloads, containers, the server itself.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks
from tests.server.conftest import COMMAND, running_command

NOT_RUN = re.compile(
    r"^(apt|docker|git clone|make|pip|python3 -m venv|\.ci/run|sudo|\S*pip install"
    r"|\S*fast-spark (serve|models download|models convert)|python -m benchmarks|export) ?",
    re.MULTILINE,
)
TESTED_ELSEWHERE = {"docs/clients.md", "demo/README.md"}
EXAMPLES = {
    page: found
    for page in PAGES
    if (
        found := [
            block for block in blocks(page) if block.language in ("python", "sh") and not NOT_RUN.search(block.code)
        ]
    )
    and str(page.relative_to(ROOT)) not in TESTED_ELSEWHERE
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl: apt install curl"),
]


@pytest.fixture
def directory(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader works: with a sample, settings, and a voice store of his own."""
    shutil.copy(golden / "clip.wav", tmp_path / "ada.wav")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    monkeypatch.setenv("CURL_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{COMMAND.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FAST_SPARK_ENGINE__DATA_DIRECTORY", str(tmp_path / "store"))
    return tmp_path


def run(block: Block, url: str, directory: Path) -> None:
    code = block.code.replace("http://127.0.0.1:8000", url).replace("--size full", "--size small")
    command = [sys.executable, "-c", code] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"line {block.line}:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_work(page: Path, directory: Path) -> None:
    with running_command(directory / "log") as server:
        for block in EXAMPLES[page]:
            run(block, server.url, directory)
