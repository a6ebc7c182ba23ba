"""What a store does to its history, each made ready up to where it begins, and what must be there before and after.

All work in publishing steps small enough for small stores.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.archive.reading import FileVerifier
from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import RetentionPolicy
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.retention import offload, pace
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.verification import examine
from hybridstore.schema.books import LEDGER
from tests.crash.deleting import DATASETS, HELD_LATE, Content, create_aged, read, wrong
from tests.crash.stock import store_config
from tests.retention.aging import DUE_US, live_until
from tests.tiered import NOW_US, OLD_DAY, insert, make_rows

_MONTH_DUE_US = NOW_US + 4 * DAY_US
"""When April 2026 is old enough for the cold tier."""
_YEAR_DUE_US = 21_195 * DAY_US
"""When 2026 is old enough for the frozen tier (2028-01-12)."""
_DESTROYED_US = DUE_US + 3 * DAY_US
_FEW = RetentionPolicy(name="few", table_name="market_trades", max_hot_records=20)


class Case(NamedTuple):
    """A store that is ready for an operation.

    Attributes:
        now_us: The time at which it is done, us UTC.
        before: What the store may hold.
        always: What must be there at every moment.
        after: What must be there, and nothing else, once it is done.
        work: Does it; done again, it does what is left.
    """

    now_us: int
    before: Content
    always: Content
    after: Content
    work: Callable[[DatabaseManager], None]


def open_store(root: Path, now_us: int) -> DatabaseManager:
    """Open a store.

    Args:
        root: Its folder.
        now_us: What its clock says, us UTC.
    """
    database = DatabaseManager(store_config(root), clock=ManualClock(now_us))
    database.open()
    return database


def small_steps() -> Any:
    """Return what makes every step take a few rows."""
    return patch.multiple(pace, STEP_ROWS_FIRST=5, STEP_ROWS_MIN=3)


def prepare(name: str, root: Path, seed: int) -> Case:
    """Make a store ready for an operation.

    Args:
        name: Of :data:`OPERATIONS`.
        root: Its folder; it must not exist.
        seed: Of its content.
    """
    return OPERATIONS[name](root, seed)


def look(root: Path, case: Case, *, done: bool, tidy: bool = False) -> str | None:
    """Look at a store as a process does that opens it now.

    Args:
        root: Its folder.
        case: What it was made ready for.
        done: Whether that is done.
        tidy: Whether nothing may be left over, either.

    Returns:
        What is wrong.
    """
    database = open_store(root, case.now_us)
    try:
        _fetch(database)
        found = read(database)
        if (problem := wrong(case.before, case.always, found)) is not None:
            return problem
        if done and found != case.after:
            return "what is there is not what should be there in the end"
        if problems := examine(database, "scrub").problems:
            return "; ".join(problems)
        return _untidy(database) if tidy else None
    finally:
        database.shutdown()


def _fetch(database: DatabaseManager) -> None:
    """Have a copy of what is elsewhere, as any reader has."""
    rows = database.readers.rows(database.statements["offloaded_files"])
    files = (ArchiveFile.from_row(row) for row in rows)
    FileVerifier(database.root).paths(file for file in files if file.replaced_seq is None)


def _untidy(database: DatabaseManager) -> str | None:
    """Say what was left over once everything is done."""
    retention = DataRetentionManager(database)
    if due := [*retention.plan(), *retention.plan_merges(), *retention.plan_deletions()]:
        return f"{due[0]} is still due"
    if left := retention.status()["open_moves"]:
        return f"{left[0]} is open"
    retention.sweep(0)
    named = {path for (path,) in database.readers.rows("SELECT path FROM archive_files")}
    files = {path for path in (database.root / "archives").rglob("*") if path.is_file()}
    strange = {path.relative_to(database.root).as_posix() for path in files} - named
    return f"{min(strange)} is there for nothing" if strange else None


def _run(database: DatabaseManager) -> None:
    DataRetentionManager(database).run()


def _kept(content: Content, now_us: int, work: Callable[[DatabaseManager], None] = _run) -> Case:
    return Case(now_us, content, content, content, work)


def _fill(root: Path, seed: int, rows: int, first_day: int, days: int, live_us: int = NOW_US) -> Content:
    rng = random.Random(seed)
    database = open_store(root, NOW_US)
    try:
        SchemaManager(database).initialize()
        for dataset in DATASETS:
            insert(database, dataset, make_rows(dataset, rng, rows, first_day=first_day, days=days))
        content = read(database)
        live_until(database, live_us)
    finally:
        database.shutdown()
    return content


def _move(root: Path, seed: int) -> Case:
    return _kept(_fill(root, seed, 14, OLD_DAY, 1), NOW_US)


def _merge_month(root: Path, seed: int) -> Case:
    content = _fill(root, seed, 14, OLD_DAY, 3, NOW_US + DAY_US)
    return _kept(content, _MONTH_DUE_US)


def _merge_year(root: Path, seed: int) -> Case:
    content = _fill(root, seed, 14, OLD_DAY, 30, _YEAR_DUE_US - 31 * DAY_US)
    return _kept(content, _YEAR_DUE_US)


def _offload(root: Path, seed: int) -> Case:
    content = _fill(root, seed, 14, OLD_DAY, 3, _MONTH_DUE_US)

    def work(database: DatabaseManager) -> None:
        elsewhere = (database.root / "elsewhere").as_uri()
        msgspec.structs.force_setattr(
            database.config, "archive_url", elsewhere
        )  # else decided when a store is made
        msgspec.structs.force_setattr(database.config, "archive_cache_mb", 0)
        with patch.object(offload, "EVICT_GRACE_S", -60):
            DataRetentionManager(database).run()

    return _kept(content, _MONTH_DUE_US, work)


def _overflow(root: Path, seed: int) -> Case:
    content = _fill(root, seed, 60, NOW_US // DAY_US - 3, 3)

    def work(database: DatabaseManager) -> None:
        DataRetentionManager(database, [_FEW]).run()

    return _kept(content, NOW_US, work)


def _delete(root: Path, seed: int) -> Case:
    before, held, _ = create_aged(root, seed)
    return Case(DUE_US, before, held, held, _run)


def _deleted(root: Path, seed: int) -> tuple[Content, Content, Content]:
    content = create_aged(root, seed)
    database = open_store(root, DUE_US)
    try:
        DataRetentionManager(database).run()
    finally:
        database.shutdown()
    return content


def _bring_back(database: DatabaseManager) -> None:
    retention = DataRetentionManager(database)
    if len(retention.holds()) == 1:
        retention.hold("*", *HELD_LATE, reason="late", held_by="the test")
    retention.run()


def _restore(root: Path, seed: int) -> Case:
    _, held, after = _deleted(root, seed)
    return Case(DUE_US, after, held, after, _bring_back)


def _collect(root: Path, seed: int) -> Case:
    _, held, _ = _deleted(root, seed)
    return _kept(held, _DESTROYED_US)


def _erase(root: Path, seed: int) -> Case:
    content = _fill(root, seed, 30, OLD_DAY, 2)
    rng = random.Random(seed + 1)
    database = open_store(root, NOW_US)
    try:
        DataRetentionManager(database).run()
        young = make_rows(LEDGER, rng, 10, first_day=NOW_US // DAY_US, number=1_000)
        insert(database, LEDGER, young)
        content = read(database)
    finally:
        database.shutdown()
    place = LEDGER.column_names.index("asset")
    rows = content[LEDGER.name]
    asset = str(Counter(row[place] for row in rows.values()).most_common(1)[0][0])
    after = {**content, LEDGER.name: {number: row for number, row in rows.items() if row[place] != asset}}
    assert len(after[LEDGER.name]) < len(rows)

    def work(database: DatabaseManager) -> None:
        DataRetentionManager(database).erase("asset", asset, reason="the test", ordered_by="the test")

    return Case(NOW_US, content, after, after, work)


OPERATIONS: dict[str, Callable[[Path, int], Case]] = {
    "move": _move,
    "merge a month": _merge_month,
    "merge a year": _merge_year,
    "offload": _offload,
    "overflow": _overflow,
    "delete": _delete,
    "restore": _restore,
    "collect": _collect,
    "erase": _erase,
}
"""By name, what makes a store ready."""
