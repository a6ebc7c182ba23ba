"""Deletes backups that no moment of the window needs, and says of each why."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from hybridstore.backup.archive_copies import ArchiveCopies
from hybridstore.backup.expiry import plan_expiry
from hybridstore.backup.repository import Repository
from hybridstore.backup.stock import Stock, take_stock, unnoted_copies
from hybridstore.clock import DAY_US
from hybridstore.durable import append_line, sha256_file, telling_failures
from hybridstore.errors import BackupCorrupt
from hybridstore.records import Record
from hybridstore.schema.types import moment

EXPIRED_NAME = "expired.jsonl"
_LEFT_S = 86_400.0


class ExpiredFile(Record, frozen=True, gc=False):
    """A file that was deleted, or would be.

    Attributes:
        path: Relative to the folder of the backups.
        size_bytes: Its size.
        reason: Why it is not needed.
    """

    path: str
    size_bytes: int
    reason: str


class ExpiryReport(Record, frozen=True, gc=False):
    """What was deleted, or would be.

    Attributes:
        window_start_us: The oldest moment that stays restorable, us UTC.
        files: The files.
        dry_run: Whether nothing was deleted.
    """

    window_start_us: int
    files: tuple[ExpiredFile, ...]
    dry_run: bool

    @property
    def size_bytes(self) -> int:
        """Size of the files."""
        return sum(file.size_bytes for file in self.files)


def expire(repository: Repository, keep_days: int, now_us: int, *, dry_run: bool = False) -> ExpiryReport:
    """Delete what no moment of the window needs.

    Args:
        repository: The backups; the lock is held, or nothing is deleted.
        keep_days: Length of the window, days.
        now_us: The time, us UTC.
        dry_run: Only say what would be deleted.

    Returns:
        What was deleted.

    Raises:
        BackupCorrupt: A full copy that would be relied on is damaged; nothing was deleted.
        StorageFailure: A file cannot be deleted.
    """
    window_start_us = now_us - keep_days * DAY_US
    stock = take_stock(repository)
    plan = plan_expiry(repository.epochs(), list(stock.fulls), stock.links, window_start_us)
    found = [
        (path, one.reason)
        for one in plan.expired
        for path in _paths(repository, stock, one.kind, one.epoch, one.number)
    ]
    copies = ArchiveCopies(repository.base)
    found += [
        (copies.path(sha256), f"no moment since {moment(window_start_us).isoformat()} refers to it")
        for sha256 in copies.gone_before(window_start_us)
    ]
    unnoted = "it has no note, so it does not count"
    found += [
        (path, unnoted)
        for path in unnoted_copies(repository)
        if path.stat().st_mtime_ns // 1000 < window_start_us
    ]
    if found and not dry_run:
        for full in plan.relied_on:
            path = stock.fulls[full]
            if not path.exists() or sha256_file(path) != full.sha256:
                raise BackupCorrupt(
                    "nothing is deleted: the full copy that would be relied on from now on is damaged",
                    operation="expire backups",
                    path=str(path),
                    hint="hybridstore backup now makes another one; hybridstore backup verify names what is damaged",
                )
    files = [
        _delete(repository, path, reason, now_us, dry_run=dry_run) for path, reason in found if path.exists()
    ]
    if not dry_run:
        _sweep(repository)
    return ExpiryReport(window_start_us, tuple(files), dry_run)


def expired_paths(base: Path) -> set[str]:
    """Return what has expired, by its name relative to the folder of the backups. A damaged line counts for nothing.

    Args:
        base: The folder.
    """
    found = set()
    with telling_failures("look at what expired", base / EXPIRED_NAME), suppress(FileNotFoundError):
        for line in (base / EXPIRED_NAME).read_bytes().splitlines():
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                found.add(msgspec.json.decode(line, type=ExpiredFile).path)
    return found


def _paths(repository: Repository, stock: Stock, kind: str, epoch: int, number: int) -> list[Path]:
    if kind == "full":
        data = [path for full, path in stock.fulls.items() if (full.epoch, full.seq) == (epoch, number)]
        # What says that it counts goes first: a copy is whole or not there.
        return [file for path in data for file in (path.with_name(f"{path.name}.json"), path)]
    return [
        one.path
        for one in repository.files()
        if one.named.kind != "full" and (one.named.epoch, one.named.number) == (epoch, number)
    ]


def _delete(repository: Repository, path: Path, reason: str, now_us: int, *, dry_run: bool) -> ExpiredFile:
    name = path.relative_to(repository.base).as_posix()
    with telling_failures("expire a backup", path):
        expired = ExpiredFile(name, path.stat().st_size, reason)
        if not dry_run:
            said = {"at": moment(now_us).isoformat(), **expired.to_dict()}
            append_line(repository.base / EXPIRED_NAME, msgspec.json.encode(said))
            path.unlink()
            with suppress(OSError):  # not empty
                path.parent.rmdir()
                path.parent.parent.rmdir()
    return expired


def _sweep(repository: Repository) -> None:
    """Remove what a process that died had begun."""
    making = repository.base / "making"
    for path in making.iterdir() if making.is_dir() else ():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
