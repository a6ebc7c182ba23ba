"""Puts a whole store back as it was at a moment: hot database, manifest and archived files."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from hybridstore.backup.archive_copies import ArchiveCopies, kept_files
from hybridstore.backup.chain import Chain, Target, choose_chain
from hybridstore.backup.pieces import Full
from hybridstore.backup.rebuild import Rebuilt, apply_links, unpack_full
from hybridstore.backup.repository import Repository
from hybridstore.backup.stock import Stock, choose, is_exact, read_links, take_stock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.durable import (
    PRIVATE_DIR_MODE,
    fsync_directory,
    fsync_file,
    make_directories,
    telling_failures,
)
from hybridstore.errors import BackupCorrupt, ConfigError, NotRestorable
from hybridstore.hot.copying import Copied, prove_database
from hybridstore.records import Record

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""
_log = logging.getLogger("hybridstore")
_HINT = "hybridstore backup verify says what can still be restored"


class RestoreResult(Record, frozen=True, gc=False):
    """A store that was put back.

    Attributes:
        root: Its folder.
        seq: Its last commit.
        ts_us: Time of that commit, us UTC.
        exact: Whether these are all commits up to the moment that was asked for. False where the backups end before
            it: later ones may have been made that they do not hold.
        epoch: The chain it was made from.
        segments: Segments that were applied.
        frames: Frames that were applied.
        database_bytes: Size of its hot database.
        archive_files: Archived files that were put back.
        archive_bytes: Their size.
    """

    root: str
    seq: int
    ts_us: int
    exact: bool
    epoch: int
    segments: int
    frames: int
    database_bytes: int
    archive_files: int
    archive_bytes: int


def restore(
    repository: Repository,
    target: Target,
    to: Path,
    config: DatabaseConfig,
    progress: OnProgress | None = None,
) -> RestoreResult:
    """Put a store back into a new folder, prove it, and only then give the folder its name.

    Args:
        repository: The backups.
        target: The moment.
        to: The folder; it does not exist or is empty.
        config: Settings to open it with.
        progress: Called as it goes on.

    Returns:
        What was put back.

    Raises:
        NotRestorable: The backups do not hold the moment.
        BackupCorrupt: A file that it needs is missing or damaged; the folder was not made.
        ConfigError: The folder is in use.
        StorageFull: There is no space.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(
            f"{to} is not empty",
            operation="restore",
            hint="give a folder that does not exist yet, or use --in-place to keep the old store aside",
        )
    making = to.with_name(f".{to.name}.restoring")
    with telling_failures("restore", making):
        shutil.rmtree(making, ignore_errors=True)
        make_directories(making.parent)
        making.mkdir(mode=PRIVATE_DIR_MODE)
    try:
        result = restore_into(repository, target, making, config, progress)
        with telling_failures("restore", to):
            if to.exists():
                to.rmdir()
            making.rename(to)
            fsync_directory(to.parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return msgspec.structs.replace(result, root=str(to))


def restore_into(
    repository: Repository,
    target: Target,
    folder: Path,
    config: DatabaseConfig,
    progress: OnProgress | None = None,
) -> RestoreResult:
    """Put a store back into an empty folder, and prove it.

    Args:
        repository: The backups.
        target: The moment.
        folder: The folder.
        config: Settings to open it with.
        progress: Called as it goes on.

    Returns:
        What was put back.

    Raises:
        NotRestorable: The backups do not hold the moment.
        BackupCorrupt: A file that it needs is missing or damaged.
        StorageFull: There is no space.
    """
    told = progress or (lambda _what, _done, _all: None)
    made = restore_database(repository, target, folder, config, told)
    settings = msgspec.structs.replace(config, database_path=str(folder / DATABASE_NAME), vfs=None)
    files, size_bytes = _put_archives_back(repository, settings, folder, told)
    rebuilt = made.rebuilt
    return RestoreResult(
        root=str(folder),
        seq=rebuilt.row.seq,
        ts_us=rebuilt.row.ts_us,
        exact=made.exact,
        epoch=made.chain.epoch,
        segments=len(made.chain.links),
        frames=rebuilt.applied,
        database_bytes=made.copied.pages * made.copied.page_bytes,
        archive_files=files,
        archive_bytes=size_bytes,
    )


class Made(NamedTuple):
    """A hot database that was put together and proven.

    Attributes:
        chain: The way it was made.
        rebuilt: What came of it.
        copied: What it holds.
        exact: Whether these are all commits up to the moment.
    """

    chain: Chain
    rebuilt: Rebuilt
    copied: Copied
    exact: bool


def restore_database(
    repository: Repository, target: Target, folder: Path, config: DatabaseConfig, told: OnProgress
) -> Made:
    """Put the hot database of a moment into an empty folder, and prove it.

    Args:
        repository: The backups.
        target: The moment.
        folder: The folder.
        config: Settings to open it with.
        told: Called as it goes on.

    Returns:
        What came of it.

    Raises:
        NotRestorable: The backups do not hold the moment.
        BackupCorrupt: A file that it needs is missing or damaged.
        StorageFull: There is no space.
    """
    stock = take_stock(repository)
    database = folder / DATABASE_NAME
    chain = _unpack(stock, choose(repository, stock, target), target, database, told)
    full = chain.full
    frames_bytes = sum(stock.raw_bytes(link) for link in chain.links)
    rebuilt = apply_links(
        database,
        chain,
        read_links(repository, stock, chain.links),
        target,
        lambda done: told("applied", done, frames_bytes),
    )
    settings = msgspec.structs.replace(config, database_path=str(database), vfs=None)
    exact = is_exact(stock, chain.epoch, rebuilt.row, target, followed=rebuilt.followed)
    return Made(chain, rebuilt, _prove(settings, database, full, rebuilt, told), exact)


def _unpack(stock: Stock, chain: Chain, target: Target, database: Path, told: OnProgress) -> Chain:
    """Unpack the full copy that a way begins with, or an older one that leads there, too, where that one is damaged."""
    while True:
        full = chain.full
        try:
            unpack_full(stock.fulls[full], full, database, partial(_tell_unpacked, told, full))
        except BackupCorrupt as error:
            database.unlink(missing_ok=True)
            older = [one for one in stock.fulls if one.epoch == full.epoch and one.seq < full.seq]
            try:
                chain = choose_chain(full.epoch, older, stock.links, target)
            except (NotRestorable, BackupCorrupt):
                raise error from None
            _log.warning("restore: %s; an older copy and more segments are used", error)
        else:
            return chain


def _tell_unpacked(told: OnProgress, full: Full, done: int) -> None:
    told("unpacked", done, full.raw_bytes)


def _prove(
    settings: DatabaseConfig, database: Path, full: Full, rebuilt: Rebuilt, told: OnProgress
) -> Copied:
    told("proving", 0, 1)
    found = prove_database(settings, database)
    for left in database.parent.glob(f"{database.name}-*"):
        left.unlink()
    with telling_failures("restore", database):
        fsync_file(database)
    wanted = (full.store, rebuilt.row.seq, rebuilt.row.ts_us, rebuilt.pages)
    got = (found.position.mark.hex(), found.position.seq, found.position.ts_us, found.pages)
    if wanted != got:
        raise BackupCorrupt(
            f"what was put together is not what was wanted: store, commit, time and pages are {got}, not {wanted}",
            path=str(database),
            hint=_HINT,
        )
    told("proving", 1, 1)
    return found


def _put_archives_back(
    repository: Repository, settings: DatabaseConfig, folder: Path, told: OnProgress
) -> tuple[int, int]:
    copies = ArchiveCopies(repository.base)
    _, files = kept_files(settings)
    count = size_bytes = 0
    for done, file in enumerate(files, 1):
        if copies.put_back(folder, file):
            count, size_bytes = count + 1, size_bytes + file.size_bytes
        elif file.replaced_seq is None and file.offloaded_at is None:
            raise BackupCorrupt(
                f"the backups have no copy of an archived file that counted then ({file.path})",
                path=str(copies.path(file.sha256)),
                hint=_HINT,
            )
        told("archives", done, len(files))
    for left in folder.glob(f"{DATABASE_NAME}-*"):
        left.unlink()
    return count, size_bytes
