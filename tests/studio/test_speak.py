"""The studio speaks: in the browser, with sound that is captured there."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from server.encoding import FORMATS
from tests.server.audio import decoded
from tests.server.conftest import Server
from tests.studio.conftest import Studio
from tests.waiting import wait_until

TEXT = "Hello there. This is the second sentence."
LONG = " ".join(["The rain had stopped, and a boy counted the drops that fell from the roof."] * 8)

CAPTURE = """
const player = document.getElementById("speak-player");
window.captured = new Promise((resolve) => player.audio.addEventListener("playing", () => {
  const pieces = [];
  const recorder = new MediaRecorder(player.audio.captureStream());
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  recorder.onstop = () => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(new Blob(pieces));
  };
  player.audio.addEventListener("emptied", () => recorder.stop(), { once: true });
  recorder.start();
}, { once: true }));
"""


@pytest.fixture(scope="module")
def page(server: Server, browse: Callable[..., Studio]) -> Studio:
    page = browse(server.url, "--window-size=1280,1000")
    page.open()
    return page


@pytest.fixture
def studio(page: Studio) -> Iterator[Studio]:
    page.click("#stop")
    page.type("speak-input", "")
    page.type("speak-seed", "")
    page.driver.execute_script("document.querySelector('#speak-player .state').textContent = ''")
    yield page
    assert page.errors() == []


def complete(studio: Studio) -> bool:
    return studio.text("#speak-player .state") == "Complete."


def test_what_is_played_is_the_whole_speech(studio: Studio) -> None:
    studio.type("speak-input", TEXT)
    studio.driver.execute_script(CAPTURE)
    studio.click("#speak")
    wait_until(lambda: complete(studio))
    captured = studio.driver.execute_async_script("captured.then(arguments[0])")
    samples, _ = decoded(base64.b64decode(str(captured)), "webm")  # type: ignore[arg-type]
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    heard = (loud[-1] - loud[0]) / 24_000
    length = float(studio.text("#speak-player dl").split("Length\n")[1].split(" s")[0])
    assert length - 0.8 < heard < length + 0.5  # the speech has short silences at its ends
    assert studio.js("document.getElementById('speak-player').audio.duration") == pytest.approx(length, abs=0.01)


def test_playback_begins_before_the_end_and_stops(studio: Studio) -> None:
    studio.type("speak-input", LONG)
    studio.click("#speak")
    player = "document.getElementById('speak-player')"
    wait_until(lambda: bool(studio.js(f"{player}.live && !{player}.live.complete && {player}.audio.currentTime > 0.2")))
    assert "First audio" in studio.text("#speak-player dl")
    studio.click("#stop")
    studio.says("#speak-player .state", "Stopped.")
    kept = studio.js(f"{player}.audio.duration")
    wait_until(lambda: studio.js(f"{player}.audio.src") != "")
    assert isinstance(kept, float)
    studio.driver.execute_script(f"{player}.audio.play()")  # what came can be heard again
    wait_until(lambda: studio.js(f"{player}.audio.currentTime > 0.1") is True)


def test_the_keyboard_is_enough(studio: Studio) -> None:
    focus = studio.driver.switch_to
    studio.driver.execute_script("document.querySelector('#speak-input textarea').focus()")
    focus.active_element.send_keys(TEXT)
    for _ in range(20):
        focus.active_element.send_keys(Keys.TAB)
        if focus.active_element.get_attribute("id") == "speak":
            break
    focus.active_element.send_keys(Keys.ENTER)
    wait_until(lambda: complete(studio))


def test_an_example_fills_the_text_and_is_counted(studio: Studio) -> None:
    [fold, *_] = [button for button in studio.all("button.label-wrap") if button.text.startswith("Examples")]
    fold.click()
    wait_until(lambda: bool(studio.all("button.example")) and studio.find("button.example").is_displayed())
    studio.click("button.example")
    studio.says("fs-counter", "26 of 4096")
    assert studio.js("document.querySelector('#speak-input textarea').value") == "Hello! This is Fast-Spark."


def test_errors_are_where_they_belong(studio: Studio) -> None:
    studio.click("#speak")
    studio.says("#speak-input .fs-error", "'input'")
    assert studio.find("#speak-input textarea").get_attribute("aria-invalid") == "true"
    studio.type("speak-input", TEXT)
    studio.type("speak-seed", "seven")
    studio.click("#speak")
    studio.says("#speak-seed .fs-error", "'seed'")
    assert studio.text("#speak-input .fs-error") == ""
    assert studio.find("#speak-seed input, #speak-seed textarea").get_attribute("aria-invalid") == "true"
    too_long = "x" * 4097
    studio.type("speak-seed", "7")
    studio.driver.execute_script(
        "const [field, text] = arguments; field.value = text; field.dispatchEvent(new Event('input', {bubbles: true}))",
        studio.find("#speak-input textarea"),
        too_long,
    )
    studio.says("fs-counter.too-many", "4097 of 4096")
    studio.click("#speak")
    studio.says("#speak-input .fs-error", "4096")
    assert studio.text("#speak-seed .fs-error") == ""


def test_downloads_and_code_are_the_same_request(studio: Studio) -> None:
    studio.type("speak-input", 'It\'s "quoted": 5 < 6, and $HOME.')
    studio.type("speak-seed", "7")
    lengths = {}
    for name in FORMATS:
        studio.choose("speak-response_format", name)
        studio.click("#download")
        data = studio.saved(f"speech.{name}").read_bytes()
        lengths[name] = len(decoded(data, name)[0]) / 24_000
    assert max(lengths.values()) - min(lengths.values()) < 0.25, lengths
    [fold] = [button for button in studio.all("button.label-wrap") if "as code" in button.text]
    fold.click()
    shown = {name: f"document.querySelector('#{name} textarea')?.value" for name in ("curl", "python")}
    wait_until(lambda: bool(studio.js(shown["curl"])))
    expected = studio.saved("speech.pcm").read_bytes()
    for command in (
        ["bash", "-euc", str(studio.js(shown["curl"]))],
        [sys.executable, "-c", str(studio.js(shown["python"]))],
    ):
        directory = studio.downloads / command[1]
        directory.mkdir()
        subprocess.run(command, cwd=directory, env=os.environ, check=True, capture_output=True)
        assert (directory / "speech.pcm").read_bytes() == expected


def test_sentences_are_highlighted_while_they_are_heard(studio: Studio) -> None:
    studio.type("speak-input", TEXT)
    studio.click("#speak")
    for sentence in ("Hello there.", "This is the second sentence."):
        studio.says("#speak-player li[aria-current]", sentence)
    wait_until(lambda: bool(studio.js("document.querySelector('#speak-player li button')?.disabled === false")))
    studio.click("#speak-player li:nth-child(2) button")  # to hear it again
    studio.says("#speak-player li[aria-current]", "This is the second sentence.")


def test_a_dialogue_has_a_voice_for_each_line(studio: Studio, server: Server) -> None:
    studio.tab("Dialogue")
    wait_until(lambda: len(studio.all("fs-dialogue li")) == 2)
    for field, line in zip(studio.all("fs-dialogue textarea"), ("How are you?", "I am fine."), strict=True):
        field.send_keys(line)
    first, second = (field.get_attribute("value") for field in studio.all("fs-dialogue select"))
    assert first != second
    studio.click("#dialogue-speak")
    studio.says("#dialogue-player .state", "Complete.")
    studio.says("#dialogue-player .sentences", "I am fine.")
    studio.click("fs-dialogue li:first-child button")
    assert len(studio.all("fs-dialogue li")) == 1
    studio.tab("Speak")
