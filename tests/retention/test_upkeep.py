"""The hot database after rows left it: small again, planned as before, and written to meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore.clock import DAY_US
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.optimizer import QueryOptimizer
from hybridstore.retention import pace
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.progress import Stopped
from hybridstore.retention.upkeep import FREE_PAGES_MIN, FREE_SHARE, Upkeep
from hybridstore.schema.books import LEDGER
from hybridstore.schema.market import MARKET_TRADES
from tests.tiered import NOW_US, TIERED, all_rows, insert, make_rows, open_store

YOUNG_DAY = NOW_US // DAY_US - 1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        yield database


def pages(database: DatabaseManager) -> tuple[int, int]:
    """Return how many pages the database has, and how many of them are free."""
    count, free = (database.readers.rows(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count"))
    return count, free


def copied_back(database: DatabaseManager) -> int:
    """Return the file's size once its log is copied back."""

    def write(session: object) -> None:
        return None

    database.shutdown()
    size_bytes = database.path.stat().st_size
    database.open()
    database.writer.call(write)
    return size_bytes


def test_the_file_gets_smaller_and_keeps_every_row(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 40_000, days=2))
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 500, first_day=YOUNG_DAY, number=90_000))
    rows = all_rows(database, MARKET_TRADES)
    before = copied_back(database)
    report = DataRetentionManager(database).run()
    count, free = pages(database)
    assert free <= count // FREE_SHARE + 1
    assert report.freed_bytes > before / 2
    assert copied_back(database) <= before - report.freed_bytes
    assert all_rows(database, MARKET_TRADES) == rows
    assert database.readers.rows("PRAGMA integrity_check") == [("ok",)]
    assert DataRetentionManager(database).run().freed_bytes == 0


def test_a_few_free_pages_are_left_for_what_comes(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 400))
    DataRetentionManager(database).run()
    count, free = pages(database)
    assert 0 < free < FREE_PAGES_MIN
    assert Upkeep(database).give_back() == 0
    assert pages(database) == (count, free)


def test_statements_are_planned_as_before(tmp_path: Path, rng: random.Random) -> None:
    with open_store(tmp_path) as database:
        for dataset in TIERED:
            insert(database, dataset, make_rows(dataset, rng, 300, days=3))
            insert(database, dataset, make_rows(dataset, rng, 200, first_day=YOUNG_DAY, number=9_000))
        before = QueryOptimizer(database).explain()
        manager = DataRetentionManager(database)
        assert Upkeep(database).refresh_statistics() > len(TIERED)
        assert Upkeep(database).refresh_statistics() == 0
        manager.run()
    with open_store(tmp_path) as database:
        assert database.readers.rows("SELECT count(*) FROM sqlite_stat1")[0][0] > len(TIERED)
        after = QueryOptimizer(database).explain()
    changed = {
        name: (plan, after[name])
        for name, plan in before.items()
        if after[name] != plan and not name.startswith("units_")  # it reads all of a table, or of an index
    }
    assert changed == {}


def test_it_can_be_stopped_and_goes_on(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STEP_ROWS_FIRST", "STEP_ROWS_MIN", "STEP_ROWS_MAX"):
        monkeypatch.setattr(pace, name, 50)
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60_000, days=1))
    manager = DataRetentionManager(database)
    count, _ = pages(database)

    def purge_only(name: str) -> None:
        if name == "done":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.run(on_step=purge_only)
    asked = iter([False, True])
    upkeep = Upkeep(database, lambda: next(asked))
    with pytest.raises(Stopped):
        upkeep.give_back()
    assert len(upkeep.locked_ms) == 2
    between, _ = pages(database)
    assert between < count
    assert Upkeep(database).give_back() > 0
    left, free = pages(database)
    assert left < between
    assert free <= left // FREE_SHARE + 1


def test_others_write_meanwhile(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 40_000, days=1))
    stop, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            rows = make_rows(LEDGER, random.Random(written), 3, first_day=YOUNG_DAY, number=written)
            insert(database, LEDGER, rows)
            written += 3

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = DataRetentionManager(database).run()
    finally:
        stop.set()
        writer.join()
    assert report.freed_bytes > 0
    assert len(all_rows(database, LEDGER)) == written
    assert len(all_rows(database, MARKET_TRADES)) == 40_000
    assert database.readers.rows("PRAGMA integrity_check") == [("ok",)]
