"""The product's mover and merger over one store, in publishing steps small enough for small stores.

What is archived is corrected and told again afterwards: a row that lost its key on the way would be there twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from hybridstore.archive.lookup import ArchiveLookup
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.recorder import Recorder
from hybridstore.hot.rows import prepare_rows, write_rows
from hybridstore.retention import pace
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.schema.books import LEDGER
from tests.crash.stock import NOW_US, corrections, store_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.crash.stock import Row, Rows

_STEP_ROWS_FIRST = 5
_STEP_ROWS_MIN = 3
_MERGES_DUE_US = NOW_US + 4 * DAY_US
"""When the month of the old days is old enough for the cold tier, and the young days still stay hot."""


def move_everything(
    root: Path, on_step: Callable[[str], None], vfs: str | None = None, *, expected: Rows | None = None
) -> None:
    """Finish what an earlier mover left open, then move everything that is due and merge what was moved.

    Args:
        root: The store's folder.
        on_step: Called with the name of each step of each move, and of each merge ("merge claimed").
        vfs: The SQLite VFS to open the store with.
        expected: The store's content; with it, archived entries are corrected (a step ``corrected`` each), moved
            again, and the whole ledger is told once more (a step ``retold``).
    """
    database = DatabaseManager(store_config(root, vfs), clock=ManualClock(NOW_US))
    database.archive_lookup = ArchiveLookup(database)
    with patch.multiple(pace, STEP_ROWS_FIRST=_STEP_ROWS_FIRST, STEP_ROWS_MIN=_STEP_ROWS_MIN):
        database.open()
        try:
            retention = DataRetentionManager(database)
            retention.run(on_step=on_step)
            if expected is not None:
                for _, row in corrections(expected):
                    _tell(database, [row])
                    on_step("corrected")
                retention.run(on_step=on_step)
            retention.run(
                _MERGES_DUE_US, on_step=on_step, on_replace_step=lambda name: on_step(f"merge {name}")
            )
            if expected is not None:
                _tell(database, list(expected[LEDGER.name].values()))
                on_step("retold")
        finally:
            database.shutdown()


def _tell(database: DatabaseManager, rows: list[Row]) -> None:
    """Record ledger entries as a bot does; when the store took them is its own affair."""
    told = [row[:-1] for row in rows]
    assert LEDGER.column_names[-1] == "recorded_at"
    Recorder(database).call("full", write_rows, LEDGER, prepare_rows(LEDGER, told))
