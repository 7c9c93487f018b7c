"""The server of this folder's tests, for Ray Serve: the engine keeps a pace by sleeping, and dies if told to."""

import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ray import serve

from benchmarks.paced import paced_engine
from engine import EngineConfig, Observer, SpeechEngine
from server.cluster import application
from server.settings import load_settings

SLOTS = 64  # of one replica: all streams of a test, and the next sentence of each
STEP_SECONDS = 0.01  # twice as fast as speech


def app(arguments: dict[str, Any]) -> serve.Application:
    """The application: `settings` are those of the server; once the file `death` is there, one engine dies."""
    settings = load_settings(None, arguments["settings"])
    return application(settings, partial(_mortal_engine, config=settings.engine, death=Path(arguments["death"])))


def _mortal_engine(observer: Observer, config: EngineConfig, death: Path) -> SpeechEngine:
    def die() -> None:
        while True:
            with suppress(FileNotFoundError):
                death.unlink()
                observer.death("The device is gone.")
                return
            time.sleep(0.1)

    threading.Thread(target=die, daemon=True).start()
    return paced_engine(observer, config, SLOTS, STEP_SECONDS)
