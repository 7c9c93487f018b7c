"""The page: keys, languages, screens, and nothing from elsewhere."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.server.conftest import Server, running_command
from tests.studio.conftest import Studio, browsing
from tests.waiting import wait_until

KEYS = {"ada": "key-of-ada-0123456", "eve": "key-of-eve-0123456"}


def test_a_key_is_asked_for_and_shows_what_it_may_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Path
) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("".join(f"{name}: {key}\n" for name, key in KEYS.items()))
    keys.chmod(0o600)
    monkeypatch.setenv("FAST_SPARK_API_KEYS_FILE", str(keys))
    monkeypatch.setenv("FAST_SPARK_ENGINE__DATA_DIRECTORY", str(tmp_path))
    with running_command(tmp_path / "log") as server, browsing(server.url, tmp_path, "--window-size=1280,1400") as page:
        httpx.get(f"{server.url}/studio/", timeout=120).raise_for_status()
        page.open()
        page.says("fs-header .state", "needs a key")
        page.type("key-key", "wrong")
        page.click("#use-key")
        page.says("fs-header .state", "key")
        page.type("key-key", KEYS["ada"])
        page.click("#use-key")
        page.says("fs-header .state", "demo is ready.")
        page.tab("Voices")
        wait_until(lambda: bool(page.all("#clone-audio_sample input")))
        page.find("#clone-audio_sample input[type=file]").send_keys(str(golden / "clip.wav"))
        page.type("clone-name", "Secret")
        page.click("#clone-scope input")
        page.click("#clone")
        page.says("fs-voices li", "private")
        page.type("key-key", KEYS["eve"])
        page.click("#use-key")
        page.says("fs-voices.empty", "")
        wait_until(lambda: page.all("fs-voices li") == [])
        assert page.errors() == []


@pytest.fixture(scope="module")
def chinese(server: Server, browse: Callable[..., Studio]) -> Studio:
    return browse(server.url, "--window-size=500,900", "--lang=zh-CN", language="zh-CN")


def test_chinese_on_a_narrow_dark_screen_without_another_host(chinese: Studio, server: Server) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    chinese.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    chinese.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    chinese.open()
    chinese.says("fs-header .state", "demo 已就绪。")
    assert chinese.js("document.documentElement.lang") == "zh-CN"
    chinese.type("speak-input", "Hello, 世界。")
    chinese.click("#speak")
    chinese.says("#speak-player .state", "已完成。")
    chinese.says("#speak-player dl", "首个音频")
    for tab in ("音色", "服务器"):
        assert chinese.js("document.documentElement.scrollWidth") == 360
        chinese.tab(tab)
    wait_until(lambda: bool(chinese.all("#now-memory_plot path.line")))
    assert chinese.js("document.documentElement.scrollWidth") == 360
    background = str(chinese.js("getComputedStyle(document.body).backgroundColor"))
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 64
    assert chinese.errors() == []
    hosts = ("data:", "blob:", server.url)
    assert {url for url in chinese.requested() if not url.startswith(hosts)} == set()


def test_every_field_has_a_label(chinese: Studio) -> None:
    fields = chinese.js(
        "[...document.querySelectorAll('input, textarea, select, button, canvas, audio')]"
        ".filter((e) => e.checkVisibility() && !e.labels?.length && !e.ariaLabel && !e.textContent.trim()"
        " && !e.title && !e.getAttribute('aria-labelledby')).map((e) => e.outerHTML)"
    )
    assert fields == []
