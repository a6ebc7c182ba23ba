"""Backups that become gigabytes, or say that they do: refused before memory or disk are full of them."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import zstandard

from hybridstore.backup.chain import Target
from hybridstore.backup.framing import TailRecord, encode_head, encode_note, encode_record
from hybridstore.backup.pieces import Full, Segment, sha256_of
from hybridstore.backup.repository import Found, Repository
from hybridstore.backup.restore import restore
from hybridstore.errors import BackupCorrupt, StorageFull
from tests.faults.damaged_backups import Backups, build

_MIB = 1 << 20
_BOMB_MIB = 4_096
_MEMORY_MIB = 384
_FILE_MIB = 64


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Backups:
    """Return backups that are whole."""
    return build(tmp_path_factory.mktemp("backups"), 11)


@pytest.fixture
def backups(tmp_path: Path, origin: Backups) -> Backups:
    """Return a copy to spoil."""
    shutil.copytree(origin.base, tmp_path / "backups")
    return origin._replace(base=tmp_path / "backups")


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Return gigabytes of zeros, packed."""
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    block = bytes(16 * _MIB)
    packed = b"".join(packer.compress(block) for _ in range(_BOMB_MIB // 16)) + packer.flush()
    assert len(packed) < _MIB
    return packed


@contextmanager
def _limited() -> Iterator[None]:
    """Allow little more memory than is used now, and no large file."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc and limits of processes: Linux only")
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE)}
    used = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY_MIB * _MIB, before[resource.RLIMIT_AS][1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_MIB * _MIB, before[resource.RLIMIT_FSIZE][1]))
    try:
        yield
    finally:
        for kind, limits in before.items():
            resource.setrlimit(kind, limits)


def _refused(backups: Backups, target: Target, to: Path, path: Path) -> str:
    with _limited(), pytest.raises(BackupCorrupt) as refused:
        restore(Repository(backups.base), target, to, backups.config)
    print(refused.value)
    assert path.name in str(refused.value)
    assert not list(to.parent.glob("*restor*"))
    return refused.value.message


def _found(backups: Backups, kind: str, suffix: str) -> Found:
    files = Repository(backups.base).files()
    return [one for one in files if one.named.kind == kind and one.path.name.endswith(suffix)][-1]


def _spoil_full(backups: Backups, content: bytes | None, raw_bytes: int | None) -> tuple[Full, Path]:
    """Put a content into the place of a full copy, and say that this is right."""
    found = _found(backups, "full", ".zst.json")
    full, path = Repository(backups.base).read_full(found.path), found.path.with_suffix("")
    if content is not None:
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        full = msgspec.structs.replace(full, size_bytes=len(content), sha256=sha256)
    if raw_bytes is not None:
        full = msgspec.structs.replace(full, raw_bytes=raw_bytes)
    found.path.write_bytes(encode_note(full))
    return full, path


def test_a_full_copy_that_becomes_huge_is_refused(tmp_path: Path, backups: Backups, bomb: bytes) -> None:
    full, path = _spoil_full(backups, bomb, None)
    target = Target(seq=full.seq, epoch=full.epoch)
    with _limited():
        gone_around = restore(Repository(backups.base), target, tmp_path / "gone-around", backups.config)
    assert gone_around.seq == full.seq
    for one in Repository(backups.base).files():
        if one.named.kind == "full" and one.named.epoch == full.epoch and one.named.number < full.seq:
            one.path.unlink()
    _refused(backups, target, tmp_path / "restored", path)


def test_a_full_copy_that_would_not_fit_is_refused_at_once(tmp_path: Path, backups: Backups) -> None:
    full, _ = _spoil_full(backups, None, 1 << 50)
    with _limited(), pytest.raises(StorageFull, match="are free"):
        restore(
            Repository(backups.base),
            Target(seq=full.seq, epoch=full.epoch),
            tmp_path / "restored",
            backups.config,
        )


def _spoil_segment(backups: Backups, content: bytes | None, raw_bytes: int | None) -> tuple[Segment, Path]:
    path = _found(backups, "segment", ".zst").path
    repository = Repository(backups.base)
    segment = repository.read_segment(path)
    body = content or repository.read_content(path, segment)
    segment = msgspec.structs.replace(
        segment,
        size_bytes=len(body),
        sha256=sha256_of(body),
        raw_bytes=segment.raw_bytes if raw_bytes is None else raw_bytes,
    )
    path.write_bytes(encode_head(segment) + body)
    return segment, path


def _first_of(segment: Segment) -> Target:
    return Target(seq=segment.seq_first, epoch=segment.epoch)


@pytest.mark.parametrize("raw_bytes", [None, _MIB, 100 * _MIB, 1 << 40, -1])
def test_a_segment_that_becomes_huge_is_refused(
    tmp_path: Path, backups: Backups, bomb: bytes, raw_bytes: int | None
) -> None:
    segment, path = _spoil_segment(backups, bomb, raw_bytes)
    _refused(backups, _first_of(segment), tmp_path / "restored", path)


def test_a_segment_that_says_it_is_huge_is_refused(tmp_path: Path, backups: Backups) -> None:
    segment, path = _spoil_segment(backups, None, 1 << 40)
    _refused(backups, _first_of(segment), tmp_path / "restored", path)


def test_a_segment_that_is_huge_is_refused(tmp_path: Path, backups: Backups) -> None:
    path = _found(backups, "segment", ".zst").path
    segment = Repository(backups.base).read_segment(path)
    path.write_bytes(encode_head(msgspec.structs.replace(segment, size_bytes=1 << 40)))
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    _refused(backups, _first_of(segment), tmp_path / "restored", path)


@pytest.mark.parametrize("raw_bytes", [_MIB, 100 * _MIB, (1 << 32) - 1])
def test_a_tail_that_becomes_huge_is_refused(
    tmp_path: Path, backups: Backups, bomb: bytes, raw_bytes: int
) -> None:
    path = _found(backups, "tail", ".tail").path
    head, _ = Repository(backups.base).read_tail(path)
    record = encode_record(TailRecord(head.begin, raw_bytes, bomb))
    path.write_bytes(encode_head(head) + 50 * record)
    _refused(backups, Target(), tmp_path / "restored", path)


def test_a_tail_that_is_huge_is_refused(tmp_path: Path, backups: Backups) -> None:
    path = _found(backups, "tail", ".tail").path
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    _refused(backups, Target(), tmp_path / "restored", path)
