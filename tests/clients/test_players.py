"""Common players play a response in each format, streamed and whole, to its end."""

import base64
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from server.encoding import FORMATS, MEDIA_TYPES, AudioFormat
from tests.server.conftest import Server

BODY = {"model": "tts-1", "voice": "alloy", "input": "Hello there, how are you today?", "seed": 1}
TOLERANCE = 0.12  # seconds: an encoder's delay and padding at most
PLAY = """const [data, done] = arguments;
const audio = new Audio(data);
audio.muted = true;
audio.playbackRate = 4;
audio.onended = () => done(audio.currentTime);
audio.onerror = () => done(audio.error.message);
audio.play();
"""


def output(*command: str | Path) -> str:
    program = str(command[0])
    if shutil.which(program) is None:
        pytest.skip(f"no {program}: install Debian's package")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def ffmpeg(file: Path) -> float:
    """Seconds that FFmpeg decodes."""
    found = re.findall(r"time=(\d+):(\d+):([\d.]+)", output("ffmpeg", "-hide_banner", "-i", file, "-f", "null", "-"))
    hours, minutes, seconds = found[-1]
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def ffprobe(file: Path) -> float:
    """Seconds that the header says."""
    return float(output("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file))


def sox(file: Path) -> float:
    """Seconds that sox decodes."""
    return float(re.search(r"Length \(seconds\):\s*([\d.]+)", output("sox", file, "-n", "stat"))[1])


def mpg123(file: Path) -> float:
    """Seconds that mpg123 decodes."""
    wave = file.with_suffix(".decoded")
    output("mpg123", "-q", "--no-gapless", "-s", "-O", wave, file)
    return wave.stat().st_size / 2 / 24_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[[Path], float]]:
    """Seconds after which Chromium has played a file to its end."""
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("no chromedriver: install Debian's chromium-driver")
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"):
        options.add_argument(option)

    def play(file: Path) -> float:
        data = base64.b64encode(file.read_bytes()).decode()
        return browser.execute_async_script(PLAY, f"data:{MEDIA_TYPES[file.suffix[1:]]};base64,{data}")

    with webdriver.Chrome(options, Service(driver)) as browser:
        browser.set_script_timeout(60)
        yield play


PLAYERS = {"mp3": [mpg123, sox], "flac": [sox], "wav": [sox]}


@pytest.fixture(scope="module")
def seconds(server: Server) -> float:
    answer = httpx.post(f"{server.url}/v1/audio/speech", json=BODY | {"response_format": "pcm"}, timeout=240)
    return len(answer.content) / 2 / 24_000


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("audio_format", [name for name in FORMATS if name != "pcm"])
def test_players(
    server: Server,
    seconds: float,
    chromium: Callable[[Path], float],
    tmp_path: Path,
    audio_format: AudioFormat,
    stream: bool,
) -> None:
    body = BODY | {"response_format": audio_format, "stream": stream}
    file = tmp_path / f"speech.{audio_format}"
    file.write_bytes(httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=240).raise_for_status().content)
    for player in (ffmpeg, chromium, *PLAYERS.get(audio_format, ()), *([] if stream else [ffprobe])):
        assert player(file) == pytest.approx(seconds, abs=TOLERANCE), player.__name__
