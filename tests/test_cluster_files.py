"""The files of a cluster fit Ray's schema, each other, and the project."""

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import ComposeSpecification, PyCompose
from jsonschema import Draft202012Validator
from packaging.version import Version

from server.metrics import Metrics
from server.settings import Settings, load_settings
from tests.kuberay import RAY_SERVICE

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.cluster.yaml").read_text())
KUBERNETES = yaml.safe_load((ROOT / "docker" / "rayservice.yaml").read_text())
CONFIGS: dict[str, dict[str, Any]] = {
    "configs/cluster.yaml": yaml.safe_load((ROOT / "configs" / "cluster.yaml").read_text()),
    "configs/cluster-remote.yaml": yaml.safe_load((ROOT / "configs" / "cluster-remote.yaml").read_text()),
    "docker/rayservice.yaml": yaml.safe_load(KUBERNETES["spec"]["serveConfigV2"]),
}

DRAIN = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


@pytest.mark.parametrize("name", CONFIGS)
def test_ray_serve_takes_the_config(name: str) -> None:
    schema = pytest.importorskip("ray.serve.schema", reason="pip install 'fast-spark[cluster]'")
    schema.ServeDeploySchema.model_validate(CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_the_settings_of_the_config_are_settings(name: str) -> None:
    [application] = CONFIGS[name]["applications"]
    settings = load_settings(None, application["args"])
    [deployment] = application["deployments"]
    assert deployment["name"] == "Replica"
    assert deployment["max_ongoing_requests"] > settings.max_requests + settings.max_waiting
    scaling = deployment["autoscaling_config"]
    assert scaling["target_ongoing_requests"] < settings.max_requests
    assert deployment["graceful_shutdown_timeout_s"] >= settings.deadline_seconds


def test_the_compose_file_is_valid() -> None:
    PyCompose(ComposeSpecification.model_validate(COMPOSE))
    assert set(COMPOSE["services"]) == {"head", "worker", "postgres", "redis"}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_settings_of_the_environment_hold(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from server import cluster_edge

    environment = COMPOSE["x-ray"]["environment"]
    assert environment[cluster_edge.VARIABLE] == cluster_edge.IMPORT_PATH
    for variable, value in environment.items():
        if variable.startswith("FAST_SPARK_"):
            monkeypatch.setenv(variable, re.sub(r"\$\{\w+(:[-?][^}]*)?\}", "secret", value))
    [application] = CONFIGS[name]["applications"]
    settings = load_settings(None, application["args"])
    assert settings.engine.voices == "postgresql://fast-spark:secret@postgres/fast-spark"
    assert settings.limits_storage == "redis://redis:6379"


@pytest.mark.parametrize(
    "file", ["docker/compose.cluster.yaml", "docker/rayservice.yaml", "docs/deployment/cluster.md"]
)
def test_every_way_tells_ray_how_to_route(file: str) -> None:
    from server import cluster_edge

    text = (ROOT / file).read_text()
    assert cluster_edge.VARIABLE in text
    assert "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING" in text


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    families = Metrics(lambda: (0, 0)).registry.collect()
    suffixes = ("", "_total", "_bucket", "_sum", "_count")
    known = {family.name + suffix for family in families for suffix in suffixes}
    board = json.loads((ROOT / "docker" / "grafana-cluster.json").read_text())
    shown = {name for panel in board["panels"] for name in re.findall(r"ray_(fast_spark_\w+)", json.dumps(panel))}
    assert len(shown) > 8
    assert shown <= known


CLUSTER = KUBERNETES["spec"]["rayClusterConfig"]
GROUPS = {"head": CLUSTER["headGroupSpec"]} | {group["groupName"]: group for group in CLUSTER["workerGroupSpecs"]}


def test_kuberay_takes_the_manifest() -> None:
    assert [str(error.message) for error in Draft202012Validator(RAY_SERVICE).iter_errors(KUBERNETES)] == []
    assert Version(CLUSTER["rayVersion"]) >= Version("2.52.0")  # the operator: or there is no authOptions.mode token


@pytest.mark.parametrize("name", GROUPS)
def test_kubernetes_takes_the_pods(name: str) -> None:
    template = GROUPS[name]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, **template}
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    mounted = {mount["name"] for one in template["spec"]["containers"] for mount in one.get("volumeMounts", [])}
    assert mounted == {volume["name"] for volume in template["spec"].get("volumes", [])}


def test_who_stops_a_worker_waits_as_long_as_ray() -> None:
    spec = KUBERNETES["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]
    [container] = spec["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    [deployment] = CONFIGS["docker/rayservice.yaml"]["applications"][0]["deployments"]
    assert spec["terminationGracePeriodSeconds"] > int(environment[DRAIN]) >= deployment["graceful_shutdown_timeout_s"]
    assert Settings().drain_seconds <= deployment["graceful_shutdown_timeout_s"]
    worker = COMPOSE["services"]["worker"]
    assert int(worker["stop_grace_period"].removesuffix("s")) > int(worker["environment"][DRAIN])
