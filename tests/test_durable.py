"""Files are whole or absent, private, and never replaced once published."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import threading
from pathlib import Path, PurePath

import pytest

from hybridstore.durable import (
    fsync_directory,
    fsync_file,
    make_directories,
    publish_file,
    sha256_file,
    write_file,
)

posix = pytest.mark.skipif(
    sys.platform == "win32",
    reason="Windows has other rights and locks",
)


def test_a_file_is_written_and_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_file(path, b"first")
    write_file(path, b"")
    write_file(path, b"second" * 1000)
    assert path.read_bytes() == b"second" * 1000
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


@posix
def test_what_is_written_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        make_directories(tmp_path / "a" / "b")
        write_file(tmp_path / "a" / "b" / "f", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b" / "f").stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.mkdir()
    with pytest.raises(OSError, match=r"state\.json"):
        write_file(path, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]
    assert path.is_dir()


@posix
def test_threads_writing_one_file_leave_one_of_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    wrong: list[OSError] = []

    def write(content: bytes) -> None:
        for _ in range(20):
            try:
                write_file(path, content)
            except OSError as error:
                wrong.append(error)

    threads = [threading.Thread(target=write, args=(bytes([number]) * 5000,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert path.read_bytes() in {bytes([number]) * 5000 for number in range(4)}
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_a_published_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.tmp").write_bytes(b"new")
    publish_file(tmp_path / "a.tmp", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"
    (tmp_path / "b.tmp").write_bytes(b"other")
    with pytest.raises(FileExistsError, match="refusing to replace"):
        publish_file(tmp_path / "b.tmp", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b.tmp").read_bytes() == b"other"


def test_folders_are_made_once(tmp_path: Path) -> None:
    make_directories(tmp_path / "x" / "y" / "z")
    make_directories(tmp_path / "x" / "y" / "z")
    assert (tmp_path / "x" / "y" / "z").is_dir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        make_directories(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        make_directories(tmp_path / "file" / "below")


def test_a_drive_that_is_not_there_is_an_error_and_no_endless_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own parent does not exist either."""
    root = Path(PurePath(Path.cwd().anchor))
    monkeypatch.setattr(Path, "is_dir", lambda _: False)

    def refuse(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002
        raise FileNotFoundError(str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FileNotFoundError):
        make_directories(root / "data")


def test_a_hash_is_of_the_whole_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "f").write_bytes(content)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(content).hexdigest()
    (tmp_path / "f").write_bytes(b"")
    assert sha256_file(tmp_path / "f") == hashlib.sha256(b"").hexdigest()


def test_flushing_needs_what_it_flushes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    fsync_file(tmp_path / "f")
    fsync_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        fsync_file(tmp_path / "absent")
