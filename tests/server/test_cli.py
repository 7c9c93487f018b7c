"""The command `fast-spark`, run as a user runs it."""

import re
import socket
from pathlib import Path

import pytest
import soundfile

from tests.server.commands import refused, run
from tests.server.conftest import Server

pytestmark = pytest.mark.slow  # each test starts the command, which loads a model


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_say_speaks_without_a_server(small_checkpoint: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"hello.{suffix}"
    arguments = (
        "say",
        "Hello there.",
        "-o",
        str(file),
        "--voice",
        "echo",
        "--seed",
        "1",
        "--model",
        str(small_checkpoint),
    )
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    info = soundfile.info(file)
    assert info.samplerate == 24_000
    assert 0.5 < info.duration < 10
    if suffix == "wav":
        before = file.read_bytes()
        run(*arguments)
        assert file.read_bytes() == before


def test_say_refuses_what_the_server_refuses(small_checkpoint: Path, tmp_path: Path) -> None:
    model, file = ("--model", str(small_checkpoint)), str(tmp_path / "hello.wav")
    for name in ("hello.ogg", "hello.json", "hello"):
        assert "must say the format: .mp3, .opus" in refused("say", "Hi.", "-o", name, *model)
    assert "Invalid 'speed'" in refused("say", "Hi.", "-o", file, "--speed", "9", *model)
    assert "nothing to say" in refused("say", "...", "-o", file, *model)
    assert "no voice 'nobody'" in refused("say", "Hi.", "-o", file, "--voice", "nobody", *model)
    assert "no directory" in refused("say", "Hi.", "-o", str(tmp_path / "none" / "hello.wav"), *model)
    assert not Path(file).exists()


def test_the_demo_model_speaks_at_once(tmp_path: Path) -> None:
    file = tmp_path / "hello.wav"
    result = run("say", "Hello world", "-o", str(file))
    assert result.returncode == 0, result.stderr
    assert 0.6 < soundfile.info(file).duration < 2
    listed = run("models", "list")
    assert "demo" in listed.stdout
    assert "ready" in listed.stdout


def test_convert_writes_a_file_for_llama_cpp_once(small_checkpoint: Path) -> None:
    arguments = ("models", "convert", str(small_checkpoint), "--quantize", "q5_0")
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    file = small_checkpoint / "LLM" / "fast-spark-q5_0.gguf"
    assert result.stderr.splitlines()[-1].startswith(f"{file}: ")
    made = file.stat().st_mtime_ns
    assert run(*arguments).returncode == 0
    assert file.stat().st_mtime_ns == made


def test_convert_refuses_what_is_no_model(tmp_path: Path) -> None:
    assert "There is no directory" in refused("models", "convert", str(tmp_path / "none"))
    assert "is not a complete Spark-TTS checkpoint" in refused("models", "convert", str(tmp_path))


def test_synthesize_writes_a_checkpoint_that_can_be_used(tmp_path: Path) -> None:
    directory, file = tmp_path / "model", tmp_path / "hello.wav"
    assert run("models", "synthesize", str(directory), "--size", "small").returncode == 0
    assert run("say", "Hi.", "-o", str(file), "--model", str(directory)).returncode == 0
    assert "already exists" in refused("models", "synthesize", str(directory))


def test_commands_with_a_model_take_a_language_model_for_it(small_checkpoint: Path, tmp_path: Path) -> None:
    flags = ("--model", str(small_checkpoint), "--language-model", str(tmp_path))
    for command in ("serve", "bench", "tune"):
        assert f"{tmp_path} has no language model" in refused(command, *flags)


def test_a_checkpoint_that_is_not_whole_is_refused_in_one_line(small_checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    for file in small_checkpoint.rglob("*"):
        if file.is_file() and file.name != "pytorch_model.bin" and not file.name.startswith("fast-spark"):
            target = copy / file.relative_to(small_checkpoint)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    for command in (("serve",), ("say", "Hi.", "-o", str(tmp_path / "hello.wav"))):
        assert "wav2vec2-large-xlsr-53/pytorch_model.bin is missing" in refused(*command, "--model", str(copy))
    (copy / "wav2vec2-large-xlsr-53" / "pytorch_model.bin").write_bytes(b"broken")
    assert "pytorch_model.bin" in refused("say", "Hi.", "-o", str(tmp_path / "hello.wav"), "--model", str(copy))


def test_a_checkpoint_that_cannot_be_loaded_ends_the_server(small_checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    for file in small_checkpoint.rglob("*"):
        if file.is_file() and not file.name.startswith("fast-spark"):
            target = copy / file.relative_to(small_checkpoint)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    (copy / "BiCodec" / "model.safetensors").unlink()
    (copy / "BiCodec" / "model.safetensors").write_bytes(b"broken")
    result = run("serve", "--port", "0", "--model", str(copy))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("fast-spark: ")
    assert "BiCodec/model.safetensors" in result.stderr


@pytest.mark.parametrize("below", ["", "directory"])
def test_a_data_directory_that_is_a_file_ends_the_server(small_checkpoint: Path, tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.touch()
    directory = {"FAST_SPARK_ENGINE__DATA_DIRECTORY": str(file / below)}
    result = run("serve", "--port", "0", "--model", str(small_checkpoint), **directory)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("fast-spark: ")
    assert str(file) in result.stderr.strip().splitlines()[-1]


def test_settings_that_are_wrong_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("prot: 1")
    assert "Setting prot: there is no such setting" in refused("serve", "--config", str(file))
    assert "There is no setting FAST_SPARK_PROT" in refused("serve", FAST_SPARK_PROT="1")
    assert "no directory nowhere" in refused("serve", "--model", "nowhere")
    assert "no directory [/red]nowhere" in refused("serve", "--model", "[/red]nowhere")  # rich would take it for markup


def test_a_port_that_is_taken(small_checkpoint: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = refused("serve", "--port", str(taken.getsockname()[1]), "--model", str(small_checkpoint))
    assert "Address already in use" in line


def test_help_names_the_commands() -> None:
    text = run("--help").stdout
    for command in ("serve", "say", "models", "bench"):
        assert command in text


def test_serve_logs_each_step_of_its_start_with_its_time(one_process: Server) -> None:
    log = one_process.log.read_text()
    for step in ("Importing the libraries", "Loading the codec", "Loading the language model", "Warming up"):
        assert re.search(rf"{step} took \d+\.\d s\.", log)


@pytest.mark.slow
def test_the_first_start_of_a_model_measures_the_host_once(small_checkpoint: Path, tmp_path: Path) -> None:
    environment = {
        "FAST_SPARK_TUNE": "true",
        "FAST_SPARK_ENGINE__MAX_RUNNING": "2",
        "XDG_CACHE_HOME": str(tmp_path),
        "COLUMNS": "200",
        "PATH": "",  # without a compiler it is quicker
    }
    nowhere = ("serve", "--model", str(small_checkpoint), "--host", "203.0.113.1")  # no address of this machine
    first, again, bare = (run(*nowhere, *flags, **environment) for flags in ((), (), ("--no-tune",)))
    assert "seconds for a second of audio" in first.stderr
    assert first.stderr.count("chosen") == 2
    for later in (again, bare):
        assert "seconds for a second of audio" not in later.stderr
    file = tmp_path / "host.md"
    result = run("tune", "--model", str(small_checkpoint), "--record", str(file), **environment)
    assert result.returncode == 0, result.stderr
    assert "| codec | 24 frames | 52 frames | 150 frames |" in file.read_text()
