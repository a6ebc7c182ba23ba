"""Puts archived files back that are gone from the store, and says so in its audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybridstore.backup.archive_copies import ArchiveCopies, KeptFile
from hybridstore.clock import Clock
from hybridstore.config import DatabaseConfig
from hybridstore.hot.commits import touches
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention.steps import record

ACTION = "heal"
"""What the audit log calls it."""


def heal(
    config: DatabaseConfig, clock: Clock, copies: ArchiveCopies, files: Sequence[KeptFile]
) -> list[KeptFile]:
    """Put back every file that counts, is gone, and has a copy. Each is proven first, and noted afterwards.

    Args:
        config: The store's settings.
        clock: Where the time comes from.
        copies: The backups' copies.
        files: Every file the store knows.

    Returns:
        What was put back.

    Raises:
        BackupCorrupt: A copy is damaged.
        StorageFull: There is no space.
        StoreError: The store cannot be written.
    """
    root = config.root
    gone = [
        file
        for file in files
        if file.replaced_seq is None and file.offloaded_at is None and not (root / file.path).exists()
    ]
    healed = [file for file in gone if copies.put_back(root, file)]
    if healed:
        database = DatabaseManager(config, clock=clock)
        database.open()
        try:
            for file in healed:
                detail = {"file_id": file.file_id, "path": file.path, "sha256": file.sha256}
                database.writer.call(_note, detail, durability="full")
        finally:
            database.shutdown()
    return healed


@touches()
def _note(session: WriteSession, detail: dict[str, Any]) -> None:
    record(session, ACTION, detail)
