"""`fast-spark bench`: its table, its files, and one line for what cannot be measured."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from engine.text import normalise, split_sentences
from engine.tokens.vocabulary import Vocabulary
from server.bench.client import Answer, Level
from server.bench.command import BenchError, Length, bundled_texts
from server.bench.plot import write_plot
from server.bench.report import Percentiles, Summary, as_table
from server.cli import app
from tests.server.commands import refused
from tests.server.conftest import Server
from tests.server.fakes import Fakes, patient, ready
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]
PNG = b"\x89PNG\r\n"


def bench(*arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, ["bench", *arguments])
    if result.exception:
        raise result.exception
    return result.output


def test_a_running_server_is_measured(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    fakes = Fakes(vocabulary, tmp_path)
    url = serve(fakes.app).url
    with httpx.Client(base_url=url, timeout=60) as http:
        wait_until(lambda: ready(http))
    arguments = ("--url", url, "--concurrency", "1,3", "--requests", "2", "--max-tokens", "10")
    printed = bench(*arguments, "-o", str(tmp_path / "of.fakes"))
    assert "Clients" in printed
    assert printed.count(" 0  ") >= 2  # underruns and errors
    results = json.loads((tmp_path / "of.fakes.json").read_text())
    assert results["subject"] == url
    assert results["format"] == "pcm"
    assert [(level["clients"], len(level["answers"]), level["errors"]) for level in results["levels"]] == [
        (1, 2, 0),
        (3, 3, 0),  # at least one a client
    ]
    for level in results["levels"]:
        assert 0 < level["first_audio"]["p50"] <= level["first_audio"]["p95"]
        audio = sum(answer["audio"] for answer in level["answers"])
        assert level["audio_per_second"] == pytest.approx(audio / level["seconds"])
    assert (tmp_path / "of.fakes.png").read_bytes().startswith(PNG)


def test_a_server_with_keys_is_measured_with_one(vocabulary: Vocabulary, tmp_path: Path, serve: Serve) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(api_keys={"ada": "sk-0123456789abcdef0123"}))
    url = serve(fakes.app).url
    with httpx.Client(base_url=url, timeout=60) as http:
        wait_until(lambda: ready(http))
    arguments = ("--url", url, "--concurrency", "1", "--requests", "1", "--max-tokens", "10")
    bench(*arguments, "--api-key", "sk-0123456789abcdef0123", "-o", str(tmp_path / "keyed"))
    assert json.loads((tmp_path / "keyed.json").read_text())["levels"][0]["errors"] == 0


def test_a_server_of_its_own_is_measured(small_checkpoint: Path, tmp_path: Path) -> None:
    arguments = ("--model", str(small_checkpoint), "--concurrency", "2", "--requests", "3", "--texts", "short")
    bench(*arguments, "--max-tokens", "10", "--voice", "nova", "--format", "mp3", "-o", str(tmp_path / "own"))
    results = json.loads((tmp_path / "own.json").read_text())
    assert results["subject"] == "small (auto)"
    (level,) = results["levels"]
    assert [answer["error"] for answer in level["answers"]] == [None] * 3
    assert level["real_time_factor"]["p50"] > 0


def test_what_cannot_be_measured_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "http://127.0.0.1:9 does not speak. ConnectError" in refused("bench", "--url", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--concurrency", "1,65"], "numbers from 1 to 64"),
        (["--concurrency", "two"], "numbers from 1 to 64"),
        (["--url", "http://x", "--model", "demo"], "--url is a server that runs already"),
        (["--url", "localhost:8000"], "does not speak"),
        (["--url", "http://a b"], "does not speak|no address"),
        (["-o", "nowhere/results"], "no directory nowhere"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], why: str) -> None:
    with pytest.raises(BenchError, match=why):
        bench(*arguments)


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path) -> None:
    program = "import sys; sys.modules['matplotlib'] = None; from server.cli import main; main()"
    command = [sys.executable, "-c", program, "bench", "--url", "http://127.0.0.1:9"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.strip() == "fast-spark: The plot needs matplotlib: pip install matplotlib"


def test_the_texts_are_of_both_languages_and_lengths() -> None:
    short, long, both = (bundled_texts(length) for length in (Length.SHORT, Length.LONG, Length.ALL))
    assert len(short) == len(long) == 8
    assert both[:4] == (short[0], long[0], short[1], long[1])
    for texts in (short, long):
        assert sum(text.isascii() for text in texts) == 4
    assert all(len(split_sentences(normalise(text))) == 1 for text in short)
    assert all(len(split_sentences(normalise(text))) > 1 for text in long)


LEVELS = [
    Level(1, 10, [Answer(total=n, first_audio=n / 10, audio=2, underruns=n % 2) for n in range(1, 5)]),
    Level(64, 10, [Answer(total=1, error="429: busy")] * 2),
]


def test_a_level_in_figures() -> None:
    first, second = map(Summary.of, LEVELS)
    assert first.first_audio == Percentiles(pytest.approx(0.25), pytest.approx(0.385))
    assert first.real_time_factor == Percentiles(pytest.approx(1.25), pytest.approx(1.925))
    assert (first.audio_per_second, first.underruns, first.errors) == (0.8, 2, 0)
    assert second.first_audio is None
    assert (second.audio_per_second, second.errors) == (0, 2)


@pytest.mark.parametrize("levels", [LEVELS, LEVELS[1:]])
def test_levels_that_failed_are_shown_too(levels: list[Level], tmp_path: Path) -> None:
    assert as_table(levels, "title").row_count == len(levels)
    write_plot(levels, "title", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(PNG)
