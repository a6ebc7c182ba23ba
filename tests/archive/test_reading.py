"""Verified reading: whatever happened to a file since it was published is found before its first use."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import msgspec
import pytest

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.durable import sha256_file
from hybridstore.errors import ArchiveCorrupt
from tests.archive.test_manifest import FILE

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def file(tmp_path: Path) -> ArchiveFile:
    path = tmp_path / FILE.path
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return msgspec.structs.replace(FILE, size_bytes=len(CONTENT), sha256=sha256_file(path))


def test_a_whole_file_is_given_with_its_path(tmp_path: Path, file: ArchiveFile) -> None:
    assert FileVerifier(tmp_path).paths([file, file]) == [(tmp_path / file.path).as_posix()] * 2


def test_every_damage_is_found_and_named(tmp_path: Path, file: ArchiveFile, rng: random.Random) -> None:
    path = tmp_path / file.path
    for _ in range(200):
        content = bytearray(CONTENT)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        with pytest.raises(ArchiveCorrupt, match="content changed") as caught:
            FileVerifier(tmp_path).check(file)
        assert caught.value.path == str(path)
        assert caught.value.hint
    for size in (0, 1, len(CONTENT) - 1, len(CONTENT) + 1):
        path.write_bytes((CONTENT + b"x")[:size])
        with pytest.raises(ArchiveCorrupt, match=f"{size:,} bytes"):
            FileVerifier(tmp_path).check(file)
    path.unlink()
    with pytest.raises(ArchiveCorrupt, match="missing"):
        FileVerifier(tmp_path).check(file)


def test_a_file_that_changed_after_its_first_check_is_checked_again(
    tmp_path: Path, file: ArchiveFile
) -> None:
    verifier = FileVerifier(tmp_path)
    path = verifier.check(file)
    replacement = path.with_name("other")
    replacement.write_bytes(bytes(len(CONTENT)))
    replacement.replace(path)
    with pytest.raises(ArchiveCorrupt):
        verifier.check(file)


def test_an_unchanged_file_is_hashed_once(tmp_path: Path, file: ArchiveFile) -> None:
    verifier = FileVerifier(tmp_path)
    path = verifier.check(file)
    status = path.stat()
    with path.open("r+b") as content:  # same inode, size and time: only a second hash would see it
        content.write(b"!")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert verifier.check(file) == path


def test_many_threads_may_check_at_once(tmp_path: Path, file: ArchiveFile) -> None:
    verifier = FileVerifier(tmp_path)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(verifier.check(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / file.path] * 8
