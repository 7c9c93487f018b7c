"""Voices that are made, kept and removed in the studio."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.conftest import Server
from tests.studio.conftest import Studio
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def page(server: Server, golden: Path, browse: Callable[..., Studio]) -> Studio:
    return browse(
        server.url, "--window-size=1280,1400", f"--use-file-for-fake-audio-capture={golden / 'clip-stereo-44k.wav'}"
    )


@pytest.fixture
def studio(page: Studio, server: Server) -> Iterator[Studio]:
    page.open()
    page.tab("Voices")
    wait_until(lambda: bool(page.all("#clone-audio_sample .record")))
    yield page
    for voice in made(server):
        httpx.delete(f"{server.url}/v1/audio/voices/{voice['id']}", timeout=60).raise_for_status()
    assert page.errors() == []


def made(server: Server) -> list[dict[str, str]]:
    answer = httpx.get(f"{server.url}/v1/audio/voices", params={"limit": 100}, timeout=60).raise_for_status()
    return [voice for voice in answer.json()["data"] if voice["type"] != "built_in"]


def choose(studio: Studio, field: str, file: Path) -> None:
    studio.find(f"#{field} input[type=file]").send_keys(str(file))


def act(studio: Studio, action: str, name: str) -> None:
    """Press a button of a voice in the list."""
    studio.click(f"fs-voices button[aria-label='{action} {name}']")


def test_a_voice_is_recorded_heard_renamed_exported_deleted_and_imported(studio: Studio, server: Server) -> None:
    studio.click("#clone-audio_sample .record")
    studio.says("#clone-audio_sample .state", "3 s")
    studio.click("#clone-audio_sample .record")
    studio.says("#clone-audio_sample .state", "recording.webm, ")
    drawn = "[...document.querySelectorAll('#clone-audio_sample canvas')].map((c) => new Set(c.getContext('2d')"
    colours = studio.js(f"{drawn}.getImageData(0, 0, c.width, c.height).data).size)")
    assert min(colours) > 1  # the waveform and the spectrogram show something
    studio.type("clone-name", "Ada")
    studio.click("#clone")
    studio.says("fs-voices .state", "Ada is ready.")
    studio.says("#hear-player .state", "Complete.")
    assert "cloned" in studio.text("fs-voices li")

    act(studio, "Rename", "Ada")
    studio.find("fs-voices form input").send_keys("Eve")
    studio.click("fs-voices form button")
    studio.says("fs-voices .name", "Eve")
    assert [voice["name"] for voice in made(server)] == ["Eve"]

    act(studio, "Export", "Eve")
    file = studio.saved("Eve.voice")
    act(studio, "Delete", "Eve")
    studio.click("fs-voices button.danger")
    studio.says("fs-voices .state", "Eve is deleted.")
    assert made(server) == []

    studio.tab("From a file")
    wait_until(lambda: bool(studio.all("#import-file input")))
    choose(studio, "import-file", file)
    studio.type("import-name", "Eve again")
    studio.click("#import")
    studio.says("fs-voices .name", "Eve again")
    act(studio, "Hear", "Eve again")
    studio.says("#hear-player .state", "Complete.")


def test_an_uploaded_file_with_its_warnings(studio: Studio, tmp_path: Path, golden: Path, server: Server) -> None:
    choose(studio, "clone-audio_sample", golden / "clip.wav")
    studio.says("#clone-audio_sample .state", "clip.wav, ")
    studio.type("clone-name", "Ada")
    studio.type("clone-transcript", "One word.")
    studio.click("#clone")
    studio.says("fs-voices .name", "Ada")
    [voice] = made(server)
    warnings = voice.get("warnings") or []
    for warning in warnings:
        studio.says("fs-warnings", warning)

    studio.click("#clone")  # again, with the same name
    studio.says("#clone-name .fs-error", "'Ada'")
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound")
    choose(studio, "clone-audio_sample", noise)
    studio.type("clone-name", "Bob")
    studio.click("#clone")
    studio.says("#clone-audio_sample .fs-error", "audio")
    assert studio.text("#clone-name .fs-error") == ""


def test_a_consent_is_recorded_with_the_voice(studio: Studio, golden: Path, server: Server) -> None:
    [fold] = [button for button in studio.all("button.label-wrap") if button.text.startswith("Consent")]
    fold.click()
    studio.says("fs-phrase", "This is my voice")
    studio.choose("consent-language", "中文")
    studio.says("fs-phrase", "这是我的声音")
    choose(studio, "consent-recording", golden / "clip.wav")
    choose(studio, "clone-audio_sample", golden / "clip.wav")
    studio.type("clone-name", "Ada")
    studio.click("#clone")
    studio.says("fs-voices .name", "Ada")
    [consent] = httpx.get(f"{server.url}/v1/audio/voice_consents", timeout=60).json()["data"]
    assert consent["language"] == "zh-CN"
    [voice] = made(server)
    assert httpx.get(f"{server.url}/v1/audio/voices/{voice['id']}", timeout=60).json()["consent"] == consent["id"]


def test_a_voice_is_drawn_again_until_it_is_kept(studio: Studio, server: Server) -> None:
    studio.tab("From attributes")
    wait_until(lambda: bool(studio.all("#keep")))
    studio.click("#keep")
    studio.says("#create-form", "Draw a voice first.")
    studio.click("#draw")
    studio.says("#hear-player .state", "Complete.")
    first = made(server)
    studio.click("#draw")
    wait_until(lambda: len(voices := made(server)) == 1 and voices != first)
    assert studio.text("fs-voices li") == ""  # a draft is not among the voices
    studio.type("create-name", "al/to")
    studio.click("#keep")
    studio.says("#create-name .fs-error", "slash")
    studio.type("create-name", "Alto")
    studio.click("#keep")
    studio.says("fs-voices .name", "Alto")
    [voice] = made(server)
    assert (voice["name"], voice["type"]) == ("Alto", "created")


def test_what_the_server_does_and_a_benchmark_are_plotted(studio: Studio, tmp_path: Path) -> None:
    studio.tab("Server")
    studio.says("fs-facts", "demo")
    studio.says("fs-facts", "Backend")
    wait_until(lambda: bool(studio.all("#now-memory_plot path.line")))
    label = studio.find("#now-memory_plot svg").get_attribute("aria-label")
    assert float(str(label).split(": ")[1]) > 0.1  # gigabytes
    levels = [
        {"clients": n, "first_audio": {"p50": n / 4, "p95": n / 2}, "real_time_factor": None, "audio_per_second": 3.5}
        for n in (1, 4)
    ]
    (tmp_path / "bench.json").write_text(json.dumps({"levels": levels}))
    choose(studio, "benchmark-file", tmp_path / "bench.json")
    wait_until(lambda: len(studio.all("#benchmark-first_audio_plot circle")) == 4)
    assert "p95 2" in str(studio.find("#benchmark-first_audio_plot svg").get_attribute("aria-label"))
    (tmp_path / "other.json").write_text("[1]")
    choose(studio, "benchmark-file", tmp_path / "other.json")
    studio.says("#benchmark-file .fs-error", "not a result of fast-spark bench")
