"""Stores without tables: enough where only commits, files and guards matter."""

from __future__ import annotations

from pathlib import Path

from hybridstore.config import DATABASE_NAME, DatabaseConfig, Durability
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.guard_report import GuardReport
from hybridstore.hot.session import WriteSession


def open_database(root: Path | str, durability: Durability = "full") -> DatabaseManager:
    """Open a store that has nothing but its commit clock."""
    path = str(Path(root) / DATABASE_NAME)
    config = DatabaseConfig(database_path=path, durability=durability, reserve_mb=0, enable_logs=False)
    database = DatabaseManager(config)
    database.open()
    return database


def touch(database: DatabaseManager) -> int:
    """Make one commit; return its number."""

    def write(session: WriteSession) -> int:
        return session.seq

    return database.writer.call(write)


def of_guard(database: DatabaseManager, name: str) -> list[GuardReport]:
    """Return what one guard says."""
    return [report for report in database.guards() if report.guard == name]


def told(root: Path, durability: Durability = "full") -> list[GuardReport]:
    """Open a store and return what its watermark tells."""
    database = open_database(root, durability)
    try:
        return of_guard(database, "watermark")
    finally:
        database.shutdown()
