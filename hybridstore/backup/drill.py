"""Proves the backups by using them: a moment is restored and compared with the running store.

What comes of it is also the next full copy: it proves every segment since the last one, and a damaged page of the live
database shows, because the copy was never made from it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import msgspec

from hybridstore.backup.chain import Target
from hybridstore.backup.full import OnProgress, keep_full
from hybridstore.backup.pieces import Full
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import restore_database
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.durable import PRIVATE_DIR_MODE, make_directories, telling_failures
from hybridstore.errors import BackupCorrupt
from hybridstore.hot.copying import content_sha256

_ATTEMPTS = 2
"""What a foreign program writes has no number of its own: it may come between two looks at the same commit."""


def drill(
    config: DatabaseConfig,
    backup: BackupConfig,
    repository: Repository,
    epoch: int,
    now_us: int,
    shipped: Callable[[], None],
    progress: OnProgress | None = None,
) -> Full:
    """Restore a moment, compare it with the store, and keep it as the next full copy.

    Args:
        config: The store's settings.
        backup: Settings of its backups.
        repository: The backups; the lock is held.
        epoch: The chain that is written.
        now_us: The time, us UTC.
        shipped: Waits until everything that was committed before the call is in the backups.
        progress: Called as it goes on.

    Returns:
        The full copy.

    Raises:
        BackupCorrupt: The backups cannot be restored, or lead to something else than the store holds.
        StoreError: The store cannot be read.
        StorageFull: There is no space.
    """
    told = progress or (lambda _what, _done, _all: None)
    for attempt in range(_ATTEMPTS):
        folder = repository.base / "making" / f"drill-{now_us}-{attempt}"
        with telling_failures("prove the backups", folder):
            make_directories(folder.parent)
            folder.mkdir(mode=PRIVATE_DIR_MODE)
        try:
            live = content_sha256(config)
            shipped()
            made = restore_database(repository, Target(seq=live[0].seq, epoch=epoch), folder, config, told)
            database = folder / DATABASE_NAME
            if content_sha256(msgspec.structs.replace(config, database_path=str(database), vfs=None)) == live:
                return keep_full(repository, database, made.copied, backup, epoch, now_us, "chain", told)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    raise BackupCorrupt(
        f"what the backups restore as commit {live[0].seq} is not what the store holds",
        operation="prove the backups",
        path=str(repository.base),
        hint="hybridstore verify and hybridstore backup verify say which of them is damaged; a new full backup of the "
        "store is made now",
    )
