"""Settings: precedence of file, environment and flags, and errors for unknown settings."""

from pathlib import Path

import pytest
import yaml

from engine import EngineConfig
from server.settings import Settings, SettingsError, load_settings

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text("port: 1\nhost: file\nengine:\n  model: from-file\n  max_running: 3\n")
    return file


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.engine.model, settings.model_name) == (
        "127.0.0.1",
        8000,
        "demo",
        "demo",
    )


def test_the_environment_goes_over_the_file_and_flags_over_both(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAST_SPARK_HOST", "environment")
    monkeypatch.setenv("FAST_SPARK_PORT", "2")
    monkeypatch.setenv("FAST_SPARK_ENGINE__MAX_CONTEXT", "512")
    settings = load_settings(file, {"port": 3, "engine": {"model": "from-flag"}})
    assert (settings.port, settings.host) == (3, "environment")
    engine = settings.engine
    assert (engine.model, engine.max_running, engine.max_context) == ("from-flag", 3, 512)


def test_the_served_name(file: Path) -> None:
    assert load_settings(None, {"engine": {"model": "SparkAudio/Spark-TTS-0.5B"}}).model_name == "Spark-TTS-0.5B"
    assert load_settings(file, {"served_name": "mine"}).model_name == "mine"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prot: 1", "Setting prot: there is no such setting"),
        ("engine:\n  modle: x", "Setting engine.modle: there is no such setting"),
        ("port: http", "Setting port: .*valid integer.*'http'"),
        ("port: 70000", "Setting port: .*65535"),
        ("engine:\n  backend: abacus", "Setting engine.backend: .*'torch'"),
        ("engine:\n  llm_precision: q9", "Setting engine.llm_precision: .*'q8_0'"),
        ("engine:\n  codec_device: gpu", "Setting engine.codec_device"),
        ("engine: 5", "Setting engine: "),
        ("engine:\n  remote: {urls: [http://a:1], kind: ollama}", "Setting engine.remote.kind: .*'llama-server'"),
        ("engine:\n  remote: {urls: [a:1], kind: vllm}", "Setting engine.remote.urls.0: .*like http://10.0.0.5:8000"),
        ("engine:\n  remote: {urls: [], kind: vllm}", "Setting engine.remote.urls: .*at least 1 item"),
        ("engine:\n  remote: {kind: vllm}", "Setting engine.remote.urls: Field required"),
        ("engine:\n  remote: {url: http://a:1}", "Setting engine.remote.*"),
        ("- port", "has no settings"),
        ("port: [", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(file)
    assert "\n" not in str(caught.value)


def test_the_servers_of_a_language_model_may_be_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__REMOTE__URLS", '["http://a:1/v1", "https://b/"]')
    monkeypatch.setenv("FAST_SPARK_ENGINE__REMOTE__KIND", "sglang")
    monkeypatch.setenv("FAST_SPARK_ENGINE__REMOTE__API_KEY", "a-key-of-somebody")
    remote = load_settings().engine.remote
    assert remote is not None
    assert (remote.urls, remote.kind) == (("http://a:1", "https://b"), "sglang")
    assert remote.api_key is not None
    assert remote.api_key.get_secret_value() == "a-key-of-somebody"
    assert "somebody" not in repr(remote)


def test_a_key_of_a_server_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__REMOTE__API_KEY", "a-key-of-somebody")
    with pytest.raises(SettingsError, match=r"Setting engine\.remote") as caught:  # there are no urls
        load_settings()
    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize("name", ["cpu.yaml", "gpu.yaml", "remote.yaml"])
def test_the_other_files_are_valid_and_say_what_each_setting_does(name: str) -> None:
    load_settings(CONFIGS / name)
    for line in (CONFIGS / name).read_text().splitlines():
        assert not line or "#" in line or line.endswith(":"), line


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match=r"no settings file nowhere.yaml"):
        load_settings(Path("nowhere.yaml"))


@pytest.mark.parametrize("name", ["FAST_SPARK_PROT", "FAST_SPARK_ENGINE__MODLE", "FAST_SPARK_MODEL"])
def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"There is no setting {name}"):
        load_settings()


FOR_ONE_SERVER = sorted({*CONFIGS.glob("*.yaml")} - {*CONFIGS.glob("cluster*.yaml")})


@pytest.mark.parametrize("file", FOR_ONE_SERVER, ids=lambda file: file.name)
def test_the_configurations_that_come_along_are_valid(file: Path) -> None:
    load_settings(file)


def test_the_demo_configuration_names_every_setting_with_its_default() -> None:
    assert load_settings(CONFIGS / "reference.yaml").model_dump() == load_settings().model_dump()
    named = yaml.safe_load((CONFIGS / "reference.yaml").read_text())
    assert set(named) == set(Settings.model_fields)
    assert set(named["engine"]) == set(EngineConfig.model_fields)
