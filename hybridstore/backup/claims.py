"""Who may write to a folder of backups, and whether it is the one that held them."""

from __future__ import annotations

from pathlib import Path

import filelock
import msgspec

from hybridstore.backup.repository import EPOCHS_NAMES, LOCK_NAME, REPOSITORY_NAME, Repository
from hybridstore.config import BackupConfig, DatabaseConfig
from hybridstore.durable import PRIVATE_FILE_MODE, make_directories, telling_failures
from hybridstore.errors import BackupError, StoreBusy
from hybridstore.hot.shipped_mark import shipped_to


def words(base: Path) -> bytes:
    """Return what the store's folder says of where its log goes.

    Args:
        base: The folder of the backups.
    """
    return msgspec.json.encode({"to": str(base)})


def refuse_unmounted(config: DatabaseConfig, backup: BackupConfig) -> None:
    """Refuse the mount point of a disk that is not there: backups would go to the disk they are to outlive.

    Args:
        config: The store's settings.
        backup: Settings of its backups.

    Raises:
        BackupError: A folder of another disk is empty, and held backups of this store.
        StorageFailure: It cannot be looked at.
    """
    base = backup.base(config.root)
    with telling_failures("begin to ship", base):
        known = any((base / name).exists() for name in (REPOSITORY_NAME, *EPOCHS_NAMES))
        if backup.backup_base_path is None or known or any(base.glob("[0-9]*")):
            return
        if shipped_to(config.root) == words(base):
            raise BackupError(
                "the folder of the backups is empty, and held backups of this store",
                operation="begin to ship",
                path=str(base),
                hint="is its disk mounted? If the backups are gone for good: hybridstore backup now --begin-anew",
            )


def lock_repository(repository: Repository) -> filelock.BaseFileLock:
    """Take the folder of backups: two that write to it would mix two chains.

    Args:
        repository: The backups.

    Returns:
        The lock, held.

    Raises:
        StoreBusy: Another process has it.
        StorageFailure: The folder cannot be written.
    """
    with telling_failures("begin to ship", repository.base):
        make_directories(repository.base)
        lock = filelock.FileLock(repository.base / LOCK_NAME, mode=PRIVATE_FILE_MODE)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StoreBusy(
                "another process writes backups to this folder",
                operation="begin to ship",
                path=str(repository.base),
                hint="one shipper a store: it is done there; this one is not needed",
            ) from None
    return lock
