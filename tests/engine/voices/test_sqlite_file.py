"""SQLite files: who may read them, and what happens where they cannot be written or have no shared memory."""

import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.types import Recording, Sample, Voice
from engine.voices.database import Database
from engine.voices.naming import new_id
from engine.voices.sqlite_file import file_system, prepare
from engine.voices.store import VoiceStore

SAMPLE = Sample(Recording(b"RIFF...", "audio/wav"), cut=False)
MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
server:/voices {share} nfs4 rw,vers=4.2 0 0
"""


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_can_read_the_store(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    before = os.umask(0)
    try:
        with closing(Database.in_directory(directory)) as database:
            VoiceStore(database).add(Voice(new_id("voice_"), "Ada", 1), SAMPLE)
            files = {path.name: mode_of(path) for path in directory.iterdir()}
    finally:
        os.umask(before)
    assert {"fast-spark.db", "fast-spark.db-wal", "fast-spark.db-shm"} <= set(files)
    assert set(files.values()) == {0o600}
    assert mode_of(directory) == 0o700


def test_a_store_that_others_can_read_is_used_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "store.db"
    path.touch(0o644)
    path.chmod(0o644)
    for _ in range(2):
        Database(f"sqlite:///{path}").close()
    assert f"chmod 600 {path}" in caplog.text
    assert mode_of(path) == 0o644  # whoever shares it on purpose goes on


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory with a store that cannot be written; root can write whatever the permissions, so it mounts one."""
    directory = tmp_path / "read-only"
    directory.mkdir()
    if os.geteuid() == 0:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=False).returncode == 0
        if not mounted:
            pytest.skip("root may not mount a file system here")
    Database.in_directory(directory).close()
    try:
        if os.geteuid() == 0:
            subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
        else:
            directory.chmod(0o500)
        yield directory
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", directory], check=True)
        else:
            directory.chmod(0o700)


def test_a_read_only_place_is_one_line_that_says_what_to_do(read_only: Path) -> None:
    for path in (read_only / "fast-spark.db", read_only / "new.db"):
        with pytest.raises(EngineError, match=rf"{read_only} is read-only; set engine\.data_directory") as caught:
            Database(f"sqlite:///{path}")
        assert "\n" not in str(caught.value)
    with pytest.raises(EngineError, match=r"Set engine\.data_directory"):
        Database.in_directory(read_only / "inside")


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"no directory {tmp_path / 'none'}; create it"):
        Database(f"sqlite:///{tmp_path / 'none' / 'store.db'}")
    assert not (tmp_path / "none").exists()


def test_the_file_system_of_a_file_is_that_of_the_longest_mount_point(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(share="/srv/share"))
    found = {path: file_system(Path(path), mounts) for path in ("/srv/share/a.db", "/srv/shared/a.db", "/tmp/a.db")}
    assert found == {"/srv/share/a.db": "nfs4", "/srv/shared/a.db": "ext4", "/tmp/a.db": "tmpfs"}
    assert file_system(Path("/tmp/a.db"), tmp_path / "none") == ""


def test_a_network_share_gets_a_rollback_journal(tmp_path: Path) -> None:
    mounts, share = tmp_path / "mounts", tmp_path / "share"
    mounts.write_text(MOUNTS.format(share=share))
    share.mkdir()
    for place, mode in ((tmp_path, "wal"), (share, "delete")):
        path = place / "store.db"
        Database(f"sqlite:///{path}").close()
        assert journal_mode(path) == "wal"
        prepare(path, 1, mounts)
        assert journal_mode(path) == mode


def write_from_two_servers(path: Path) -> None:
    """Two servers write at the same time; each sees all that both wrote."""
    with closing(Database(f"sqlite:///{path}")) as one, closing(Database(f"sqlite:///{path}")) as other:
        stores = VoiceStore(one), VoiceStore(other)
        voices = [Voice(new_id("voice_"), f"Voice {n}", 1) for n in range(20)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: stores[n % 2].add(voices[n], SAMPLE), range(20)))
        assert stores[0].page(None, None, 50) == stores[1].page(None, None, 50) == voices


def test_two_servers_write_to_one_file(tmp_path: Path) -> None:
    write_from_two_servers(tmp_path / "store.db")
    assert journal_mode(tmp_path / "store.db") == "wal"


@pytest.fixture
def without_shared_memory(tmp_path: Path) -> Iterator[Path]:
    """A directory on a FUSE file system that refuses shared memory maps, as SMB and others do."""
    if not shutil.which("bindfs") or not Path("/dev/fuse").exists():
        pytest.skip("bindfs is not installed: apt-get install bindfs")
    source, mounted = tmp_path / "source", tmp_path / "mounted"
    source.mkdir()
    mounted.mkdir()
    if subprocess.run(["bindfs", "-o", "direct_io", source, mounted], check=False).returncode != 0:
        pytest.skip("this user may not mount a FUSE file system")
    try:
        yield mounted
    finally:
        subprocess.run(["fusermount", "-u", "-z", mounted], check=True)


def test_a_store_works_where_there_is_no_shared_memory(without_shared_memory: Path, tmp_path: Path) -> None:
    path = without_shared_memory / "store.db"
    moved = tmp_path / "source" / "store.db"  # as it comes from a disk where WAL works
    Database(f"sqlite:///{moved}").close()
    assert journal_mode(moved) == "wal"
    write_from_two_servers(path)
    assert journal_mode(path) == "delete"
