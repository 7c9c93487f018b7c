"""The command `fast-spark voices`, run as a user runs it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine import EngineError, Voice, VoiceStore
from engine.voices.database import Database
from server.voice_commands import voices


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__DATA_DIRECTORY", str(tmp_path / "here"))
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(voices, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_voice_is_made_listed_moved_and_removed(
    small_checkpoint: Path, golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ("--model", str(small_checkpoint))
    words = "What the clip says, in about five seconds."
    made = run("add", str(golden / "clip.wav"), "--name", "Ada", "--transcript", words, *model)
    assert made.exit_code == 0, made.output
    assert run("create", "--gender", "male", "--pitch", "very_low", "--name", "[b]Bass", *model).exit_code == 0
    listed = run("list").stdout
    for words in ("Ada", "sample and transcript", "[b]Bass", "attributes"):
        assert words in listed

    file = tmp_path / "ada.voice"
    assert run("export", "Ada", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        run("export", "Ada", str(file))
    monkeypatch.setenv("FAST_SPARK_ENGINE__DATA_DIRECTORY", str(tmp_path / "there"))
    assert "Ada" not in run("list").stdout
    assert run("import", str(file)).exit_code == 0
    assert run("import", str(file), "--name", "Eve").exit_code == 0
    assert "Ada" in run("list").stdout
    assert run("remove", "Ada").exit_code == 0
    assert "Ada" not in run("list").stdout
    with pytest.raises(EngineError, match="no voice 'Ada'"):
        run("remove", "Ada")


def test_a_damaged_voice_is_removed_by_its_id(tmp_path: Path) -> None:
    with closing(Database.in_directory(tmp_path / "here")) as database:
        VoiceStore(database).add(Voice("voice_1", "Ada", 1))
    with closing(sqlite3.connect(tmp_path / "here" / "fast-spark.db")) as raw:
        raw.execute("UPDATE voices SET attributes = '{'")
        raw.commit()
    assert "Ada" not in run("list").stdout
    assert run("remove", "voice_1").exit_code == 0
    with pytest.raises(EngineError, match="no voice 'voice_1'"):
        run("remove", "voice_1")


def test_what_cannot_be_done_is_said(tmp_path: Path, golden: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"not a voice")
    with pytest.raises(EngineError, match="not a voice that Fast-Spark exported"):
        run("import", str(other))
    with pytest.raises(EngineError, match="no voice 'nobody'"):
        run("export", "nobody", str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()
    assert run("create", "--gender", "robot", "--name", "R2").exit_code == 2
    assert run("add", str(tmp_path / "none.wav"), "--name", "Ada").exit_code == 2
