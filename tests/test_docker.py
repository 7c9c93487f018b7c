"""What can be known of the containers without a Docker engine: that their files fit each other and the project."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import ComposeSpecification, PyCompose
from fastapi import FastAPI
from typer.testing import CliRunner

from engine import EngineConfig
from engine.checkpoints.layout import cache_directory, downloaded
from server.app import create_app
from server.cli import app
from server.settings import Settings, load_settings
from tests.server.commands import run

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker" / "compose.yaml"
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))


def stages(file: Path) -> list[list[tuple[str, str]]]:
    """The instructions of each stage, as name and arguments."""
    text = re.sub(r"\\\n\s*", " ", file.read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    found: list[list[tuple[str, str]]] = []
    for name, arguments in lines:
        if name == "FROM":
            found.append([])
        found[-1].append((name, arguments))
    return found


def arguments(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [value for instruction, value in stage if instruction == name]


def services() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return content


def substituted(value: str, **given: str) -> str:
    """A value as Compose makes it, if the environment has what is given."""
    return re.sub(r"\$\{(\w+):-(.*)\}", lambda match: given.get(match[1], match[2]), value)


OURS = [name for name, service in services().items() if "build" in service and "command" not in service]
BESIDE = ["vllm", "sglang"]
ON_GPU = [name for name, service in services().items() if "deploy" in service]


def test_the_compose_file_is_valid() -> None:
    PyCompose(ComposeSpecification.model_validate(yaml.safe_load(COMPOSE.read_text())))


@pytest.mark.parametrize("name", OURS)
def test_a_service_builds_here_and_keeps_its_data(name: str) -> None:
    service = services()[name]
    build = service["build"]
    assert isinstance(build, dict)
    assert (COMPOSE.parent / build["context"]).resolve() == ROOT
    assert ROOT / build["dockerfile"] in DOCKERFILES
    assert service["volumes"] == ["data:/data"]
    assert service["restart"] == "unless-stopped"
    assert int(str(service["stop_grace_period"]).removesuffix("s")) > Settings().drain_seconds


@pytest.mark.parametrize("name", ON_GPU)
def test_a_service_on_a_gpu_reserves_it_and_has_shared_memory(name: str) -> None:
    service = services()[name]
    [device] = service["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert device["capabilities"] == ["gpu"]
    assert service["shm_size"] == "2gb"


@pytest.mark.parametrize("name", BESIDE)
def test_a_server_of_the_language_model_finds_it_where_it_was_downloaded(name: str) -> None:
    service, download = services()[name], services()["download"]
    model = download["command"][-1]
    relative = downloaded(model).relative_to(cache_directory())
    home = Path("/data/.cache/fast-spark")  # of the user in the images
    assert any(argument.endswith(str(home / relative / "LLM")) for argument in service["command"])
    assert service["volumes"] == ["data:/data:ro"]
    assert service["depends_on"] == {"download": {"condition": "service_completed_successfully"}}
    assert set(service["profiles"]) < set(download["profiles"])


@pytest.mark.parametrize("name", BESIDE)
def test_a_speech_server_waits_for_the_language_models_and_knows_where_it_is(name: str) -> None:
    service, ours = services()[name], services()[f"with-{name}"]
    assert ours["profiles"] == service["profiles"]
    assert ours["depends_on"] == {name: {"condition": "service_healthy"}}
    assert "--port=8000" in service["command"]
    environment = ours["environment"]
    assert environment["FAST_SPARK_ENGINE__REMOTE__URLS"] == f'["http://{name}:8000"]'
    assert environment["FAST_SPARK_ENGINE__REMOTE__KIND"] == name


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_a_service_names_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = services()[name]["environment"]
    if "REMOTE" in str(environment) and "remote" not in EngineConfig.model_fields:
        pytest.skip("there is no `backend: remote` here yet")
    for variable, value in environment.items():
        monkeypatch.setenv(variable, substituted(value))
    assert load_settings().engine.model == "SparkAudio/Spark-TTS-0.5B"


@pytest.mark.slow
def test_the_demo_model_speaks_with_the_settings_of_the_image_for_cpus(tmp_path: Path) -> None:
    environment = {name: substituted(value, MODEL="demo") for name, value in services()["cpu"]["environment"].items()}
    file = tmp_path / "hello.wav"
    config = str(ROOT / "configs/cpu.yaml")
    said = run("say", "Hello.", "-o", str(file), "--config", config, **environment)
    assert said.returncode == 0, said.stderr
    assert file.stat().st_size > 10_000


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_what_is_copied_is_there(file: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for stage in stages(file):
        for value in arguments(stage, "COPY"):
            if not value.startswith("--from"):
                *sources, _ = value.split()
                assert all((ROOT / source).exists() and source not in ignored for source in sources)


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_the_last_stage_is_lean_and_does_not_run_as_root(file: Path) -> None:
    last = stages(file)[-1]
    assert arguments(last, "USER") == ["spark"]
    compiles_at_run_time = file.suffix == ".gpu"  # Triton does
    tools = ("cmake", "git ") if compiles_at_run_time else ("g++", "gcc", "cmake", "git ")
    assert not any(tool in " ".join(arguments(last, "RUN")) for tool in tools)
    assert arguments(last, "VOLUME") == ["/data"]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_the_command_and_the_check_are_those_of_the_project(file: Path) -> None:
    last = stages(file)[-1]
    program, *given = yaml.safe_load(arguments(last, "CMD")[0])
    assert program == "fast-spark"
    assert CliRunner().invoke(app, [*given, "--help"]).exit_code == 0
    settings = given[given.index("--config") + 1]
    [copied] = [value.split()[0] for value in arguments(last, "COPY") if value.endswith(settings)]
    port = load_settings(ROOT / copied).port
    assert arguments(last, "EXPOSE") == [str(port)]
    address = re.search(rf"http://127\.0\.0\.1:{port}(/[\w/]+)", arguments(last, "HEALTHCHECK")[0])
    assert address is not None
    served: FastAPI = create_app(Settings())
    assert address[1] in served.openapi()["paths"]


@pytest.mark.parametrize("file", [*DOCKERFILES, ROOT / "docker/compose.cluster.yaml"], ids=lambda file: file.name)
def test_extras_are_those_of_the_project_and_compose_serves_the_studio(file: Path) -> None:
    extras = re.findall(r"(?:EXTRAS=|EXTRAS: )\"\[([\w,]+)\]\"", file.read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(",".join(extras).split(",")) <= project.keys()
    if file in DOCKERFILES:
        assert extras == ["studio"]
        settings = [value.split()[0] for value in arguments(stages(file)[-1], "COPY") if value.startswith("configs/")]
        assert load_settings(ROOT / settings[0]).studio


def test_the_script_of_the_build_is_a_script() -> None:
    for stage in stages(ROOT / "docker" / "Dockerfile.cpu"):
        for command in arguments(stage, "RUN"):
            first = shlex.split(command)[0]
            assert first == "apt-get" or (ROOT / first).stat().st_mode & 0o111
