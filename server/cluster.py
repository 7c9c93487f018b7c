"""The server on a Ray cluster: replicas of the app behind one endpoint, each with an engine of its own.

serve run server.cluster:app                     # or: serve deploy configs/cluster.yaml
fast-spark serve --cluster ADDRESS
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import ray
from fastapi import FastAPI
from prometheus_client import Info
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from sqlalchemy import make_url
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import EngineConfig, EngineError, Observer, SpeechEngine, claim_processors
from server.app import create_app
from server.cluster_edge import IMPORT_PATH, VARIABLE
from server.cluster_metrics import Exporter
from server.service import Service
from server.settings import Settings, SettingsError, load_settings

NAME: Final = "fast-spark"
BUSY: Final = 0.75  # share of a replica's slots from which on autoscaling adds another one
LONGEST_SPEECH: Final = 300  # seconds, of the longest text
CONNECT_SECONDS: Final = 5
TRIES_VARIABLE: Final = "RAY_gcs_server_port_wait_time_s"  # of connecting, whatever its name says
OTHER_REQUESTS: Final = 100  # for each replica: requests that need no slot, such as lists of voices

Load = Callable[[Observer], SpeechEngine]


class Replica:
    """The app in one of Ray Serve's replicas. It is ready once its engine is warm, and replaced if its engine dies."""

    def __init__(self, settings: Settings, load: Load | None = None) -> None:
        """See `create_app`. Raises SettingsError if replicas on several nodes would have different voices."""
        logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(name)s: %(message)s")
        refuse_local_voices(settings.engine)
        claim_processors(settings.nice)
        self._app = create_app(settings, load, _freeze, ready_first=True)
        self._service: Service = self._app.state.service
        which = Info(
            "fast_spark_replica", "The replica that these metrics are of", registry=self._service.metrics.registry
        )
        which.info({"id": serve.get_replica_context().replica_id.unique_id})
        self._exporting = asyncio.create_task(Exporter(self._service.metrics.registry).run())

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the app, to which Ray Serve passes the requests."""
        self._app.add_middleware(OneRequestId)
        return self._app

    async def check_health(self) -> None:
        """Raise EngineError if this replica cannot answer requests any more."""
        if failure := self._service.failure:
            raise EngineError(failure)


class OneRequestId:
    """ASGI middleware: leaves the header X-Request-Id to Ray's proxy, which adds it to each response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, and remove the header from its response."""

        async def send_without_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)["X-Request-Id"]
            await send(message)

        await self._app(scope, receive, send_without_id)


_Deployment = cast(serve.Deployment, serve.deployment(serve.ingress()(Replica)))


def application(
    settings: Settings,
    load: Load | None = None,
    **options: Any,  # noqa: ANN401  Ray Serve's
) -> serve.Application:
    """Return the application for these settings. `options` are those of a deployment in Ray Serve's config file.

    There is one replica by default: Ray would prefer autoscaling here to a number of replicas in a config file. `load`
    makes the engine of a replica, by default from the settings.
    """
    defaults = {
        "name": "Replica",
        "ray_actor_options": {f"num_{name.lower()}s": amount for name, amount in resources(settings.engine).items()},
        # The app's own queue answers 429; Ray's queue must not fill up before it.
        "max_ongoing_requests": settings.max_requests + settings.max_waiting + OTHER_REQUESTS,
        "graceful_shutdown_timeout_s": settings.deadline_seconds + settings.deadline_factor * LONGEST_SPEECH,
        "graceful_shutdown_wait_loop_s": 1,
        "health_check_period_s": 2,
    }
    return _Deployment.options(**{**defaults, **options}).bind(settings, load)


def app(arguments: dict[str, Any]) -> serve.Application:
    """Build the application from a Ray Serve config file: `args` has the settings, and `config` names a file of more.

    Raises SettingsError.
    """
    settings = dict(arguments)
    file = settings.pop("config", None)
    return application(load_settings(file and Path(file), settings))


def autoscaling(settings: Settings) -> dict[str, Any]:
    """The options with which the number of replicas follows the load."""
    target = max(1, round(BUSY * settings.max_requests))
    scaling = {"min_replicas": 1, "max_replicas": 64, "target_ongoing_requests": target}
    return {"num_replicas": "auto", "autoscaling_config": scaling}


def refuse_local_voices(config: EngineConfig) -> None:
    """Raise SettingsError if the cluster has several nodes, and the voice store is a file on each of them."""
    local = config.voices is None or make_url(config.voices).get_backend_name() == "sqlite"
    nodes = sum(node["Alive"] for node in ray.nodes())
    if local and nodes > 1:
        raise SettingsError(
            f"This cluster has {nodes} nodes, and a SQLite file would be another one on each: a voice that one replica "
            "stores would be unknown to others. Set engine.voices to a PostgreSQL database."
        )


def connect(address: str) -> None:
    """Connect to the cluster at this address; `local` starts one on this machine. Raises EngineError."""
    if address == "local":
        os.environ[VARIABLE] = IMPORT_PATH  # else it was in the environment of `ray start`
    else:
        os.environ[TRIES_VARIABLE] = "1"  # else Ray tries 20 times, a quarter of an hour
    try:
        if found := re.fullmatch(r"(.+):(\d+)", address):
            socket.create_connection((found[1].strip("[]"), int(found[2])), CONNECT_SECONDS).close()
        ray.init(
            address=address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except (OSError, OverflowError, RayError, RuntimeError, ValueError) as error:
        raise EngineError(f"No connection to a Ray cluster at {address}: {reason(str(error))}") from error


def resources(config: EngineConfig) -> dict[str, float]:
    """What one engine needs, by Ray's names: a GPU where the cluster has some, else the cores of a node.

    `engine.threads` is another number of cores. Nodes without cores, such as many heads, have no engine.
    """
    if ray.cluster_resources().get("GPU") and config.llm_device != "cpu":
        return {"GPU": 1}
    cores = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return {"CPU": config.threads or min((number for number in cores if number), default=1)}


def run(settings: Settings, address: str, on_ready: Callable[[str], None]) -> None:
    """Serve on the cluster at `address` until SIGINT or SIGTERM; `local` starts one on this machine.

    `on_ready` gets the URL. Raises EngineError if there is no such cluster, or if no replica becomes ready.
    """
    stopped = threading.Event()
    try:
        connect(address)
        refuse_local_voices(settings.engine)
        serve.start(http_options={"host": settings.host, "port": settings.port}, proxy_location="EveryNode")
        serve.run(application(settings, **autoscaling(settings)), name=NAME, route_prefix="/")
    except (RayError, RayServeException, RuntimeError) as error:
        raise EngineError(f"The cluster cannot serve: {reason(str(error))}") from error
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    on_ready(f"http://{settings.host}:{settings.port}")
    stopped.wait()
    serve.delete(NAME)  # its replicas finish their requests
    ray.shutdown()


def reason(message: str) -> str:
    """The line of a message that says what failed; Ray's have a stack trace."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]*Error: ", line)]
    return (raised or lines)[-1]


def _freeze(service: Service) -> None:
    gc.freeze()  # otherwise a full collection scans 500,000 objects of torch, a pause of 0.7 s
