"""Stores that grow old: rows of April 2026, and time that passes as it does for a store that is maintained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridstore.clock import DAY_US
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.progress import MoveReport
from hybridstore.schema.dataset import Dataset
from tests.tiered import OLD_DAY, Row

YEAR_US = 365 * DAY_US
BEGIN_US = OLD_DAY * DAY_US
"""2026-04-17: rows of these tests are of the days after it."""
DUE_US = BEGIN_US + 7 * YEAR_US + 25 * DAY_US
"""When all of April 2026 is older than seven years."""


def live_until(database: DatabaseManager, until_us: int, **options: Any) -> list[MoveReport]:
    """Let time pass as it does for a store that is maintained: a run a month."""
    clock: Any = database.clock
    reports = []
    while clock.now_us() < until_us:
        clock.set(min(clock.now_us() + 31 * DAY_US, until_us))
        reports.append(DataRetentionManager(database).run(**options))
    return reports


def times_of(dataset: Dataset, rows: dict[int, Row]) -> dict[int, int]:
    assert dataset.tiering is not None
    place = dataset.column_names.index(dataset.tiering.time)
    return {number: row[place] for number, row in rows.items()}


def counting(database: DatabaseManager) -> list[tuple[str, int]]:
    return database.readers.rows(
        "SELECT tier, row_count FROM archive_files WHERE replaced_seq IS NULL ORDER BY start_us, time_min_us"
    )


def parquet_files(database: DatabaseManager) -> list[Path]:
    return sorted((database.root / "archives").rglob("*.parquet"))
