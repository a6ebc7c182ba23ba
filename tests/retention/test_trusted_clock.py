"""A clock that leapt deletes nothing until somebody confirms it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybridstore.clock import DAY_US
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.trusted_clock import LEAP_MAX_US, Trust
from hybridstore.schema.market import MARKET_TRADES
from tests.retention.aging import (
    YEAR_US,
    counting,
    live_until,
)
from tests.tiered import NOW_US, all_rows, insert, make_rows, open_store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        yield database


@pytest.mark.parametrize("dated_us", [NOW_US, NOW_US + 74 * YEAR_US], ids=["now", "2100"])
def test_a_clock_ten_years_ahead_deletes_nothing(
    database: DatabaseManager, rng: random.Random, dated_us: int
) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
    insert(
        database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 3, first_day=dated_us // DAY_US, number=900)
    )
    before = all_rows(database, MARKET_TRADES)
    manager = DataRetentionManager(database)
    clock: Any = database.clock
    for ahead_us in (10 * YEAR_US, 10 * YEAR_US + DAY_US, 11 * YEAR_US):
        clock.set(NOW_US + ahead_us)
        report = manager.run()
        assert report.deleted_rows == 0
        assert "days after it was last known to be right" in (report.clock_doubt or "")
        assert manager.status()["clock_doubt"] == manager.clock_doubt() == report.clock_doubt
        assert " rows are old enough to be deleted" in (report.clock_doubt or "")
        assert all_rows(database, MARKET_TRADES) == before
    clock.set(NOW_US + DAY_US)
    assert manager.run().clock_doubt is None
    assert all_rows(database, MARKET_TRADES) == before
    assert manager.run(NOW_US + 10 * YEAR_US).deleted_rows == 0, "nor does a plan as if it were later"
    assert all_rows(database, MARKET_TRADES) == before


def test_a_confirmed_clock_deletes(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
    manager = DataRetentionManager(database)
    database.clock.set(NOW_US + 10 * YEAR_US)  # type: ignore[attr-defined]
    assert manager.plan_deletions() == []
    assert manager.run().deleted_rows == 0
    assert manager.confirm_clock("operator").doubt is None
    (planned,) = manager.plan_deletions()
    assert planned.kept == ()
    assert manager.run().deleted_rows == 60
    assert "confirm_clock" in [entry.action for entry in manager.history()]


def test_a_row_dated_far_ahead_never_leaves(database: DatabaseManager, rng: random.Random) -> None:
    insert(
        database,
        MARKET_TRADES,
        make_rows(MARKET_TRADES, rng, 3, first_day=(NOW_US + 74 * YEAR_US) // DAY_US),
    )
    before = all_rows(database, MARKET_TRADES)
    live_until(database, NOW_US + 9 * YEAR_US)
    assert all_rows(database, MARKET_TRADES) == before
    assert counting(database) == []


def test_two_months_without_a_run_are_believed_and_a_day_more_is_not(database: DatabaseManager) -> None:
    manager = DataRetentionManager(database)
    clock: Any = database.clock
    assert manager.run().clock_doubt is None
    clock.advance(LEAP_MAX_US)
    assert manager.run().clock_doubt is None
    clock.advance(LEAP_MAX_US + 1)
    assert manager.run().clock_doubt is None, "nothing waits for it"
    assert "62 days after it was last known to be right" in (manager.clock().doubt or "")
    clock.set(NOW_US - 5 * YEAR_US)
    assert manager.clock() == Trust(NOW_US - 5 * YEAR_US), "nothing is older by a clock that is behind"


def test_a_clock_that_is_believed_is_noted_once_a_day(database: DatabaseManager) -> None:
    manager = DataRetentionManager(database)
    manager.run()
    commits = []
    for _ in range(48):
        database.clock.advance(DAY_US // 24)  # type: ignore[attr-defined]
        before = database.writer.commits
        manager.run()
        commits.append(database.writer.commits - before)
    assert sum(commits) == 2
