"""An app around an engine of fakes, and what tests of it share."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from engine import EngineConfig
from engine.vocabulary import Vocabulary
from server.app import create_app
from server.settings import Settings
from tests.engine.fakes import FakeCodec, FakeLanguageModel, fake_engine

TEXT = "The first sentence is here. The second one is a little longer. And a third, to end with."
BODY = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm", "max_tokens": 10}


class Fakes:
    """An app around an engine of fakes."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        directory: Path,
        settings: Settings | None = None,
        config: EngineConfig | None = None,
    ) -> None:
        self.language_model = FakeLanguageModel(vocabulary)
        self.codec = FakeCodec()
        self.may_load = threading.Event()
        self.may_load.set()
        config = config or EngineConfig(sentences_ahead=1)
        engine = fake_engine(vocabulary, directory, language_model=self.language_model, codec=self.codec, config=config)

        def load() -> object:
            self.may_load.wait(10)
            return engine

        self.app = create_app(settings or Settings(), load)  # type: ignore[arg-type]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ready(http: httpx.Client) -> bool:
    return http.get("/health/ready").status_code == 200
