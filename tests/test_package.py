"""What `pip install` gives is complete: a wheel, built from the source distribution, speaks outside the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import wave
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "engine", "server")

pytestmark = pytest.mark.slow


def run(*command: str | Path, directory: Path) -> str:
    """Run a command that sees nothing of the checkout; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.gguf"))
        else:
            shutil.copy(ROOT / name, source)
    run(
        sys.executable,
        "-c",
        f"from setuptools import build_meta; build_meta.build_sdist({str(built)!r})",
        directory=source,
    )
    [archive] = built.glob("*.tar.gz")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", built, archive, directory=built)
    [wheel] = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, which finds what it depends on where these tests find it."""
    directory = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", directory, directory=directory)
    python = directory / "bin" / "python"
    options = ("--no-index", "--no-deps", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, directory=directory)
    [packages] = directory.glob("lib/python*/site-packages")
    # A path in a .pth file brings packages, but not the .pth files among them: not the checkout's editable install.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory


def test_the_wheel_carries_the_licence(wheel: Path) -> None:
    listed = run(sys.executable, "-m", "zipfile", "--list", wheel, directory=wheel.parent)
    assert "licenses/LICENSE" in listed
    assert "tests/" not in listed


def test_the_installed_command_speaks(environment: Path, tmp_path: Path) -> None:
    where = run(environment / "bin" / "python", "-c", "import engine; print(engine.__file__)", directory=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)
    run(environment / "bin" / "fast-spark", "say", "Hello from a wheel.", "--output", "hello.wav", directory=tmp_path)
    with wave.open(str(tmp_path / "hello.wav")) as file:
        assert file.getframerate() == 24_000
        samples = file.readframes(24_000 * 60)
    assert len(samples) > 24_000  # half a second, 16 bits each
    assert len(set(samples)) > 100
