"""A Ray cluster of several nodes on one machine, in a process of its own, to which tests deploy servers."""

import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import pytest

from server.cluster_edge import IMPORT_PATH, VARIABLE
from tests.postgres import Postgres, programs, running_postgres
from tests.waiting import wait_until

NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}  # small: the machine has little memory
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_metrics_report_interval_ms": "1000",
    VARIABLE: IMPORT_PATH,
    "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",
}


Result = TypeVar("Result")


class Nodes:
    """Ray's own fixture, with a proxy on the head. Each node, the head too, has room for two replicas."""

    def __init__(self, nodes: int, port: int) -> None:
        from ray import serve
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 2})
        self._nodes = [self._cluster.head_node]
        for _ in range(nodes - 1):
            self.add_node()
        self._cluster.connect()
        serve.start(http_options={"host": "127.0.0.1", "port": port}, proxy_location="HeadOnly")

    def address(self) -> str:
        return str(self._cluster.address)

    def add_node(self) -> None:
        self._nodes.append(self._cluster.add_node(**NODE, num_cpus=2))
        self._cluster.wait_for_nodes()

    def kill_node(self) -> None:
        """Kill all processes of the youngest node."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def deploy(self, config: dict[str, Any]) -> None:
        """Begin to deploy this config, as `serve deploy` does."""
        from ray.serve.context import _get_global_client
        from ray.serve.schema import ServeDeploySchema

        _get_global_client().deploy_apps(ServeDeploySchema.model_validate(config))

    def replicas(self) -> dict[int, str]:
        """The node of each replica that answers, by its process."""
        from ray.serve.context import _get_global_client

        details = _get_global_client().get_serve_details()
        replicas = details["applications"]["fast-spark"]["deployments"]["Replica"]["replicas"]
        return {one["pid"]: one["node_id"] for one in replicas if one["state"] == "RUNNING"}

    def settled(self, replicas: int) -> bool:
        """Whether these many replicas answer, and none starts or stops."""
        from ray import serve

        application = serve.status().applications["fast-spark"]
        return application.status == "RUNNING" and application.deployments["Replica"].replica_states == {
            "RUNNING": replicas
        }

    def exporters(self) -> list[str]:
        """Where Prometheus scrapes each living node."""
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"]]
        return [f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics" for node in nodes]

    def actors(self, name: str) -> list[int]:
        """The processes of the cluster's actors that have this name in their title."""
        raylets = {str(process.pid) for node in self._nodes for process in _raylets(node)}
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                title, parent = (
                    (directory / "cmdline").read_text(),
                    (directory / "stat").read_text().rpartition(") ")[2].split()[1],
                )
                if title.startswith("ray::") and name in title and parent in raylets:
                    found.append(int(directory.name))
        return found

    def stop(self) -> None:
        import ray
        from ray import serve

        serve.shutdown()
        ray.shutdown()
        self._cluster.shutdown()


def _raylets(node: Any) -> list[Any]:
    return [started.process for started in node.all_processes["raylet"]]


def _control(pipe: Connection, number: int, port: int) -> None:
    """Call the methods that the test asks for, in the main thread: Ray wants it so."""
    cluster = Nodes(number, port)
    while asked := pipe.recv():
        method, arguments = asked
        try:
            pipe.send((getattr(cluster, method)(*arguments), None))
        except Exception as error:
            pipe.send((None, f"{method}: {error}"))
    cluster.stop()


class Control:
    """The methods of `Nodes`, in the process of the cluster."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def call(self, method: Callable[..., Result], *arguments: Any) -> Result:
        self._pipe.send((method.__name__, arguments))
        result, failure = self._pipe.recv()
        assert failure is None, failure
        return cast(Result, result)


@dataclass
class Machines:
    """The cluster as tests see it."""

    control: Control
    database: Postgres
    port: int
    _deployed: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def deploy(self, import_path: str, arguments: dict[str, Any], replicas: int) -> None:
        """Deploy a server, or change the one that there is; returns when just these replicas are there and ready."""
        deployment = {"name": "Replica", "num_replicas": replicas, "graceful_shutdown_wait_loop_s": 0.2}
        application = {"import_path": import_path, "args": arguments, "deployments": [deployment]}
        config = {"applications": [{"name": "fast-spark", "route_prefix": "/", **application}]}
        if config != self._deployed:
            self.control.call(Nodes.deploy, config)
            self._deployed = config
        self.settle(replicas)

    def settle(self, replicas: int) -> None:
        """Wait until just these many replicas are there and ready."""
        wait_until(lambda: self.control.call(Nodes.settled, replicas))

    def replicas(self) -> dict[int, str]:
        """The node of each replica that answers, by its process."""
        return self.control.call(Nodes.replicas)


@contextmanager
def machines(nodes: int) -> Iterator[Machines]:
    """A cluster with these many nodes, and PostgreSQL; without one of them, the test is skipped."""
    pytest.importorskip("ray", reason="pip install 'fast-spark[cluster]'")
    if (found := programs()) is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    port = free_port()
    process = context.Process(target=_control, args=(theirs, nodes, port))
    with running_postgres(found) as database:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ENVIRONMENT.items():
                patch.setenv(name, value)
            process.start()
        try:
            control = Control(ours)
            wait_until(lambda: all(map(_answers, control.call(Nodes.exporters))))  # else a replica may never export
            yield Machines(control, database, port)
        finally:
            ours.send(None)
            process.join()
            assert process.exitcode == 0


def _answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=60).is_success
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
