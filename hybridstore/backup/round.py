"""What continuous backup does, once: for cron, and for whoever maintains a store without a service."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from hybridstore.backup.full import is_full_due
from hybridstore.backup.manager import BackupManager
from hybridstore.clock import Clock
from hybridstore.config import BackupConfig, DatabaseConfig
from hybridstore.errors import BackupError, StoreBusy


def back_up_once(config: DatabaseConfig, backup: BackupConfig, clock: Clock) -> None:
    """Ship what was committed, make a full copy where one is due, heal, expire, and copy all that elsewhere.

    Args:
        config: The store's settings; the store exists.
        backup: Settings of its backups.
        clock: Where the time comes from.

    Raises:
        StorageFull: The backup's device is full.
        StoreError: The store cannot be read.
        ArchiveUnreachable: Backups could not be copied below the mirror's URL; all else is done.
        BackupError: An archived file is damaged, and so is its copy.
    """
    # Last of all, for a network that does not answer must not keep anything else from being done.
    manager = BackupManager(config, msgspec.structs.replace(backup, mirror_url=None), clock)
    if is_full_due(manager.repository, backup, clock.now_us()):
        manager.create_full()
        with suppress(StoreBusy):  # who backs the store up continuously does it by itself
            manager.expire()
    else:
        manager.create_incremental()
    wrong = [wound for wound in manager.heal() if not wound.is_healed]
    BackupManager(config, backup, clock).mirror()
    if wrong:
        raise BackupError(
            f"{len(wrong):,} archived files are gone or damaged and cannot be put back, among them "
            f"{wrong[0].file.path} ({wrong[0].wrong})",
            operation="back up",
            hint="hybridstore backup heal --dry-run names them all",
        )
