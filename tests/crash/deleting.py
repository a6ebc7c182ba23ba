"""A store that is old enough to delete: its content, what must stay of it, and the process that deletes.

First what is old enough is deleted, but for what a hold keeps; then a hold that comes late brings some of it back; then
the bytes of what is gone are destroyed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.retention import pace
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.schema.books import LEDGER
from hybridstore.schema.market import MARKET_TRADES
from tests.crash.stock import store_config
from tests.retention.aging import BEGIN_US, DUE_US, YEAR_US, live_until, times_of
from tests.tiered import NOW_US, Row, all_rows, insert, make_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATASETS = (LEDGER, MARKET_TRADES)
HELD = (BEGIN_US + 3 * DAY_US, BEGIN_US + 5 * DAY_US)
"""What is held from the beginning."""
HELD_LATE = (BEGIN_US + 8 * DAY_US, BEGIN_US + 9 * DAY_US)
"""What is held once it was deleted."""
_MAY_US = BEGIN_US + 14 * DAY_US
_DESTROYED_US = DUE_US + 3 * DAY_US
Content = dict[str, dict[int, Row]]


def create_aged(root: Path, seed: int) -> tuple[Content, Content, Content]:
    """Make a store in which April 2026 is about to be seven years old.

    Args:
        root: Its folder.
        seed: Of its content.

    Returns:
        What it holds, what must be there at every moment, and what must be there in the end.
    """
    rng = random.Random(seed)
    with patch.object(pace, "STEP_ROWS_FIRST", 20):
        database = DatabaseManager(store_config(root), clock=ManualClock(NOW_US))
        database.open()
        try:
            SchemaManager(database).initialize()
            for dataset in DATASETS:
                insert(database, dataset, make_rows(dataset, rng, 80, days=20))
            content = read(database)
            live_until(database, BEGIN_US + 7 * YEAR_US + 13 * DAY_US)
            DataRetentionManager(database).hold("*", *HELD, reason="from the beginning", held_by="the test")
        finally:
            database.shutdown()
    always = _only(content, HELD)
    return content, always, _only(content, HELD, HELD_LATE)


def delete_everything(root: Path, on_step: Callable[[str], None], vfs: str | None = None) -> None:
    """Delete, hold, bring back and destroy; what an earlier process left open is finished first.

    Args:
        root: The store's folder.
        on_step: Called with the name of each step; the last is ``over``.
        vfs: The SQLite VFS to open the store with.
    """
    with patch.multiple(pace, STEP_ROWS_FIRST=5, STEP_ROWS_MIN=3):
        database = DatabaseManager(store_config(root, vfs), clock=ManualClock(DUE_US))
        database.open()
        try:
            clock: Any = database.clock
            retention = DataRetentionManager(database)
            retention.run(on_step=on_step, on_replace_step=lambda name: on_step(f"delete {name}"))
            if len(retention.holds()) == 1:
                retention.hold("*", *HELD_LATE, reason="late", held_by="the test")
            on_step("held")
            retention.run(on_step=on_step, on_replace_step=lambda name: on_step(f"restore {name}"))
            clock.set(_DESTROYED_US)
            retention.run(on_step=on_step, on_replace_step=lambda name: on_step(f"destroy {name}"))
            on_step("over")
        finally:
            database.shutdown()


def wrong(before: Content, always: Content, found: Content) -> str | None:
    """Say how what was found cannot be: what must be there is there, and nothing that never was.

    Args:
        before: What the store held at first.
        always: What must be there at every moment.
        found: What was found.
    """
    for name, rows in found.items():
        if not always[name].items() <= rows.items():
            return f"{len(always[name].keys() - rows.keys())} rows of {name} are lost"
        if not rows.items() <= before[name].items():
            return f"rows of {name} are there that never were"
    return None


def read(database: DatabaseManager) -> Content:
    """Return every row of every dataset.

    Args:
        database: The open store.
    """
    return {dataset.name: all_rows(database, dataset) for dataset in DATASETS}


def _only(content: Content, *held: tuple[int, int]) -> Content:
    """Return the rows that are young or held."""
    kept: Content = {}
    for dataset in DATASETS:
        rows = content[dataset.name]
        times = times_of(dataset, rows)
        kept[dataset.name] = {
            number: row
            for number, row in rows.items()
            if times[number] >= _MAY_US or any(start <= times[number] < end for start, end in held)
        }
    return kept
