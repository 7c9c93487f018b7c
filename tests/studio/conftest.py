"""Chromium with the studio of a server with the demo model."""

import json
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.server.conftest import Server, running_command
from tests.waiting import wait_until

pytest.importorskip("gradio", reason="the studio needs gradio: pip install '.[studio]'")

OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host can be reached
)


class Studio:
    """The page in a browser, as a user sees it."""

    def __init__(self, driver: webdriver.Chrome, url: str, downloads: Path) -> None:
        self.driver = driver
        self.url = url
        self.downloads = downloads

    def open(self) -> None:
        self.driver.get(f"{self.url}/studio/")
        wait_until(lambda: self.text("fs-header .state") != "")

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def click(self, selector: str) -> None:
        wait_until(lambda: self._clicked(selector))

    def _clicked(self, selector: str) -> bool:
        """Click; returns false if the element is being replaced."""
        try:
            element = self.find(selector)
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
        except (NoSuchElementException, StaleElementReferenceException):
            return False
        return True

    def tab(self, name: str) -> None:
        """Open a tab; those that do not fit are in a menu."""
        [tab] = [tab for tab in self.all("button[role=tab]") if tab.is_displayed() and tab.text == name]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", tab)
        tab.click()

    def type(self, field: str, text: str) -> None:
        """Replace the text of a field."""
        wait_until(lambda: bool(self.all(f"#{field} textarea, #{field} input")))
        element = self.find(f"#{field} textarea, #{field} input")
        element.send_keys(Keys.CONTROL + "a")
        element.send_keys(text or Keys.BACKSPACE)

    def choose(self, field: str, option: str) -> None:
        """Choose from a menu."""
        self.click(f"#{field} input")
        wait_until(lambda: any(option in item.text for item in self.all("[role=option]")))
        next(item for item in self.all("[role=option]") if option in item.text).click()

    def text(self, selector: str) -> str:
        """The text of an element; empty if there is none."""
        try:
            return "\n".join(element.text for element in self.all(selector))
        except StaleElementReferenceException:
            return ""

    def says(self, selector: str, text: str) -> None:
        wait_until(lambda: text in self.text(selector))

    def js(self, code: str) -> object:
        return self.driver.execute_script(f"return {code}")

    def saved(self, name: str) -> Path:
        """A file that was downloaded."""
        wait_until((self.downloads / name).exists)
        return self.downloads / name

    def errors(self) -> list[str]:
        """The console's errors, without those that say that the API refused a request."""
        entries = self.driver.get_log("browser")
        severe = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
        return [message for message in severe if "/v1/" not in message]

    def requested(self) -> set[str]:
        """The addresses that the page has requested since the last call."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}


@contextmanager
def browsing(url: str, downloads: Path, *options: str, language: str = "en-US") -> Generator[Studio, None, None]:
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("no chromedriver: install Debian's chromium-driver")
    chosen = webdriver.ChromeOptions()
    for option in (*OPTIONS, *options):
        chosen.add_argument(option)
    chosen.add_experimental_option(
        "prefs", {"intl.accept_languages": language, "download.default_directory": str(downloads)}
    )
    chosen.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(chosen, Service(driver)) as browser:
        browser.set_script_timeout(60)
        browser.set_page_load_timeout(60)
        yield Studio(browser, url, downloads)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("studio-server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAST_SPARK_ENGINE__DATA_DIRECTORY", str(directory))
        with running_command(directory / "log") as running:
            httpx.get(f"{running.url}/studio/", timeout=120).raise_for_status()  # the first visit renders the page
            yield running
    assert "Traceback" not in (directory / "log").read_text()


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Studio]]:
    """Open a browser of its own, until the module's tests end."""
    with ExitStack() as browsers:

        def start(url: str, *options: str, language: str = "en-US") -> Studio:
            downloads = tmp_path_factory.mktemp("downloads")
            return browsers.enter_context(browsing(url, downloads, *options, language=language))

        yield start
