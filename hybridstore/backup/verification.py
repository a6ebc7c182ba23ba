"""Proof of the backups themselves: every file is what was written, every chain whole, a moment can be restored."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Literal

from hybridstore.backup.archive_copies import ArchiveCopies
from hybridstore.backup.chain import Target
from hybridstore.backup.newest import FETCHED_NAME, NEWEST_NAME
from hybridstore.backup.points import RestorePoint, restore_points
from hybridstore.backup.repository import REPOSITORY_NAME, Repository
from hybridstore.backup.restore import restore_into
from hybridstore.backup.stock import Stock, read_batch, take_stock, unnoted_copies
from hybridstore.config import DatabaseConfig
from hybridstore.durable import make_directories, sha256_file, telling_failures
from hybridstore.errors import BackupCorrupt, BackupError, HybridStoreError
from hybridstore.records import Record

Level = Literal["files", "chain", "restore"]
OnProgress = Callable[[int, int], None]


class BackupVerification(Record, frozen=True, gc=False):
    """What a proof of the backups found.

    Attributes:
        level: How much was proven.
        files: Files that were read.
        size_bytes: Their size.
        problems: What is wrong, a sentence each, with the file's path.
        points: What can be restored for all that.
        restored_seq: The commit that was restored; 0 where none was.
        elapsed_s: How long it took, s.
    """

    level: str
    files: int
    size_bytes: int
    problems: tuple[str, ...]
    points: tuple[RestorePoint, ...]
    restored_seq: int
    elapsed_s: float

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_backups(
    repository: Repository,
    level: Level,
    config: DatabaseConfig,
    progress: OnProgress | None = None,
    stop: Callable[[], bool] | None = None,
) -> BackupVerification:
    """Prove the backups. Nothing is changed.

    Args:
        repository: The backups.
        level: ``files``: every file is what was written. ``chain``: also that every commit follows the one before.
            ``restore``: also that the latest moment can be restored, archived files included.
        config: Settings to open a restored store with.
        progress: Called with the bytes read so far, and all there are.
        stop: Asked between files; True ends the proof there.

    Returns:
        What was found.

    Raises:
        StorageFailure: A file cannot be read.
    """
    begun_s = time.monotonic()
    stock = take_stock(repository)
    problems = [f"{path}: {error.message}" for path, (_, error) in stock.damaged.items()]
    total = sum(path.stat().st_size for path in _paths(repository, stock))
    files = size_bytes = 0
    for path, wrong in _prove_each(repository, stock):
        if stop is not None and stop():
            problems.append("the proof was stopped before its end")
            break
        files, size_bytes = files + 1, size_bytes + _size(path)
        if wrong is not None:
            problems.append(f"{path}: {wrong}")
        if progress is not None:
            progress(size_bytes, total)
    restored_seq = 0
    problems += [
        f"{path}: it has no note (.json), so it does not count" for path in unnoted_copies(repository)
    ]
    problems += _prove_owner(repository, stock)
    if level != "files":
        problems += _prove_chains(stock)
        problems += _prove_ends(repository, stock)
    if level == "restore" and not problems:
        try:
            restored_seq = _prove_restore(repository, config)
        except HybridStoreError as error:
            problems.append(str(error))
    try:
        points = tuple(restore_points(repository, stock))
    except BackupError as error:
        points = ()
        problems.append(str(error))
    elapsed_s = time.monotonic() - begun_s
    return BackupVerification(level, files, size_bytes, tuple(problems), points, restored_seq, elapsed_s)


def _paths(repository: Repository, stock: Stock) -> Iterator[Path]:
    yield from (path for path in stock.fulls.values() if path.exists())
    yield from (path for path, _ in stock.segments.values())
    yield from ArchiveCopies(repository.base).paths()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _prove_each(repository: Repository, stock: Stock) -> Iterator[tuple[Path, str | None]]:
    for full, path in stock.fulls.items():
        with telling_failures("verify a backup", path):
            if not path.exists():
                yield path, f"the full copy of commit {full.seq} is missing"
            else:
                is_whole = _size(path) == full.size_bytes and sha256_file(path) == full.sha256
                yield (
                    path,
                    None if is_whole else f"the full copy of commit {full.seq} is not what was written",
                )
    for path, segment in stock.segments.values():
        try:
            read_batch(repository, path, segment)
        except BackupCorrupt as error:
            yield path, error.message
        else:
            yield path, None
    for path in ArchiveCopies(repository.base).paths():
        with telling_failures("verify a backup", path):
            yield path, None if sha256_file(path) == path.stem else "the copy of an archived file was changed"


def _prove_chains(stock: Stock) -> Iterator[str]:
    links = sorted(stock.links, key=lambda link: (link.epoch, link.number))
    for before, link in pairwise(links):
        if link.epoch == before.epoch and not link.follows(before):
            yield (
                f"chain {link.epoch}: segment {link.number} does not follow segment {before.number}; commits after "
                f"{before.seq_last} and up to {link.seq_before} are missing"
            )


def _prove_owner(repository: Repository, stock: Stock) -> Iterator[str]:
    if stock.fulls or stock.links:
        yield from repository.epoch_problems()
    try:
        if repository.facts() is None and (stock.fulls or stock.links):
            yield f"{repository.base / REPOSITORY_NAME}: it is missing"
    except BackupCorrupt as error:
        yield str(error)


def _prove_ends(repository: Repository, stock: Stock) -> Iterator[str]:
    """Say whether the first or the newest files are missing: a chain without its end looks like one that ends there."""
    newest = stock.newest
    if newest is None:
        is_copy = (repository.base / FETCHED_NAME).exists()  # it never said what was the newest
        if (stock.fulls or stock.links) and not is_copy:
            yield f"{NEWEST_NAME} is missing or damaged: nobody can say whether the newest commits are missing"
        return
    yield from _prove_length(stock, newest.epoch, newest.seq)
    with suppress(BackupCorrupt):  # restore_points tells that
        for epoch in repository.epochs()[1:]:
            yield from _prove_length(stock, epoch.epoch - 1, epoch.seq)


def _prove_length(stock: Stock, epoch: int, seq: int) -> Iterator[str]:
    links = sorted((link for link in stock.links if link.epoch == epoch), key=lambda link: link.number)
    fulls = sorted(full.seq for full in stock.fulls if full.epoch == epoch)
    if not fulls:  # it was not begun, or is too old to be kept
        return
    last = max(fulls[-1], links[-1].seq_last if links else 0)
    if last < seq:
        yield (
            f"chain {epoch} ends with commit {last}, and held commit {seq}: a segment or the tail is missing or was cut"
        )
    if links and links[0].seq_before > fulls[0]:
        yield (
            f"chain {epoch}: no segment follows the full copy of commit {fulls[0]}; commits up to "
            f"{links[0].seq_before} are missing"
        )


def _prove_restore(repository: Repository, config: DatabaseConfig) -> int:
    folder = repository.base / "making" / f"verify-{uuid.uuid4().hex}"
    with telling_failures("prove a restore", folder):
        make_directories(folder)
    try:
        return restore_into(repository, Target(), folder, config).seq
    finally:
        shutil.rmtree(folder, ignore_errors=True)
