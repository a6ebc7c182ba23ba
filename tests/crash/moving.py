"""The product's mover over one store, in publishing steps small enough for small stores."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from hybridstore.clock import ManualClock
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention import mover
from hybridstore.retention.manager import DataRetentionManager
from tests.crash.stock import NOW_US, store_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_STEP_ROWS_FIRST = 5
_STEP_ROWS_MIN = 3


def move_everything(root: Path, on_step: Callable[[str], None], vfs: str | None = None) -> None:
    """Finish what an earlier mover left open, then move everything that is due.

    Args:
        root: The store's folder.
        on_step: Called with the name of each step of each move.
        vfs: The SQLite VFS to open the store with.
    """
    database = DatabaseManager(store_config(root, vfs), clock=ManualClock(NOW_US))
    with patch.multiple(mover, _STEP_ROWS_FIRST=_STEP_ROWS_FIRST, _STEP_ROWS_MIN=_STEP_ROWS_MIN):
        database.open()
        try:
            DataRetentionManager(database).run(on_step=on_step)
        finally:
            database.shutdown()
