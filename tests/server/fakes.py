"""An app with a fake engine, and helpers of its tests."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from prometheus_client.parser import text_string_to_metric_families

from engine import EngineConfig, Observer, SpeechEngine
from engine.tokens.vocabulary import Vocabulary
from server.app import create_app
from server.connections import protocols
from server.draining import DrainingServer
from server.settings import Settings
from tests.engine.fakes import FakeCodec, FakeLanguageModel, fake_engine
from tests.waiting import NEVER, wait_until

TEXT = "The first sentence is here. The second one is a little longer. And a third, to end with."
BODY = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm", "max_tokens": 10}


def patient(**settings: Any) -> Settings:
    """Settings of a server with these; a client that a test holds back runs into no other time limit."""
    limits = dict.fromkeys(("header_seconds", "stall_seconds", "keep_alive_seconds", "deadline_seconds"), NEVER)
    websocket = {"config_seconds": NEVER, "idle_seconds": NEVER} | settings.pop("websocket", {})
    return Settings.model_validate({**limits, "websocket": websocket, **settings})


class Fakes:
    """An app around an engine of fakes."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        directory: Path,
        settings: Settings | None = None,
        config: EngineConfig | None = None,
        codec: FakeCodec | None = None,
        transcripts: bool = True,
    ) -> None:
        self.language_model = FakeLanguageModel(vocabulary)
        self.codec = codec or FakeCodec()
        self.may_load = threading.Event()
        self.may_load.set()
        config = config or EngineConfig(sentences_ahead=1)

        def load(observer: Observer) -> SpeechEngine:
            self.may_load.wait(NEVER)
            return fake_engine(
                vocabulary,
                directory,
                language_model=self.language_model,
                codec=self.codec,
                config=config,
                observer=observer,
                transcripts=transcripts,
            )

        self.app = create_app(settings or patient(), load)


@contextmanager
def draining(fakes: Fakes) -> Iterator[tuple[DrainingServer, threading.Thread, str]]:
    """An app that is served as the command serves it: the server, its thread, and its address."""
    service = fakes.app.state.service
    options = protocols(service.settings)
    config = uvicorn.Config(fakes.app, **options, port=0, log_config=None, timeout_graceful_shutdown=1, lifespan="on")
    server = DrainingServer(config, service)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with httpx.Client(base_url=url, timeout=60) as http:
        wait_until(lambda: ready(http))
    yield server, thread, url
    thread.join(120)
    assert not thread.is_alive()


def set_event(fakes: Fakes, event: asyncio.Event) -> None:
    """Set an event that the language model waits for, in the loop that it belongs to."""
    fakes.language_model.loop.call_soon_threadsafe(event.set)


def ready(http: httpx.Client) -> bool:
    return http.get("/health/ready").status_code == 200


def metrics(http: httpx.Client) -> dict[str, float]:
    """Each metric's value by its name, without the prefix and with the values of its labels behind it."""
    families = text_string_to_metric_families(http.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples)
    return {" ".join((s.name.removeprefix("fast_spark_"), *s.labels.values())): s.value for s in samples}
