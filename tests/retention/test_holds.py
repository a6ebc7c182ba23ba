"""Legal holds: what is held stays, and comes back, whenever the hold is placed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue, MoveFailed, NotFound, UnknownDataset
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention import round as round_module
from hybridstore.retention.collector import COLLECT_GRACE_US
from hybridstore.retention.deleter import Deleter
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.replacer import Replacer
from hybridstore.retention.verification import examine
from hybridstore.schema.books import LEDGER
from hybridstore.schema.market import MARKET_TRADES
from tests.retention.aging import (
    BEGIN_US,
    DUE_US,
    YEAR_US,
    counting,
    live_until,
    parquet_files,
    times_of,
)
from tests.tiered import NOW_US, all_rows, insert, make_rows, open_store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        yield database


def test_what_is_held_stays_until_it_is_released(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 90, days=9))
    before = all_rows(database, MARKET_TRADES)
    manager = DataRetentionManager(database)
    hold = manager.hold(
        "market_trades",
        BEGIN_US + 2 * DAY_US,
        BEGIN_US + 5 * DAY_US,
        reason="case 7",
        held_by="counsel",
    )
    live_until(database, DUE_US)
    held = {
        number for number, at in times_of(MARKET_TRADES, before).items() if hold.start_us <= at < hold.end_us
    }
    assert all_rows(database, MARKET_TRADES) == {number: before[number] for number in held}
    (certificate,) = manager.certificates()
    assert certificate.rows == 90 - len(held)
    assert certificate.holds == (hold.hold_id,)
    reports = live_until(database, DUE_US + 200 * DAY_US)
    assert all(report.deleted_rows == report.merged == 0 for report in reports), "nothing is done again"
    assert all_rows(database, MARKET_TRADES).keys() == held
    assert manager.release(hold.hold_id, released_by="counsel").released_at is not None
    assert manager.holds() == []
    assert [one.hold_id for one in manager.holds(released=True)] == [hold.hold_id]
    assert manager.run().deleted_rows == len(held)
    assert all_rows(database, MARKET_TRADES) == {}
    assert [entry.action for entry in manager.history() if "hold" in entry.detail].count("hold") == 1


def test_several_holds_keep_rows_apart(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 120, days=12))
    before = all_rows(database, LEDGER)
    manager = DataRetentionManager(database)
    manager.hold("ledger", None, BEGIN_US + DAY_US, reason="a", held_by="x")
    manager.hold("*", BEGIN_US + 3 * DAY_US, BEGIN_US + 4 * DAY_US + 1, reason="b", held_by="x")
    live_until(database, DUE_US + 90 * DAY_US)
    times = times_of(LEDGER, before)
    held = {
        number
        for number, at in times.items()
        if at < BEGIN_US + DAY_US or BEGIN_US + 3 * DAY_US <= at < BEGIN_US + 4 * DAY_US + 1
    }
    assert all_rows(database, LEDGER) == {number: before[number] for number in held}
    assert len(counting(database)) == 2
    assert examine(database, "scrub").problems == ()


def test_a_hold_brings_back_what_was_deleted_a_moment_ago(
    database: DatabaseManager, rng: random.Random
) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 50, days=10))
    before = all_rows(database, LEDGER)
    manager = DataRetentionManager(database)
    live_until(database, DUE_US)
    assert all_rows(database, LEDGER) == {}
    hold = manager.hold("ledger", BEGIN_US + 4 * DAY_US, reason="too late?", held_by="counsel")
    database.clock.set(DUE_US + COLLECT_GRACE_US + DAY_US)  # type: ignore[attr-defined]
    report = manager.run()
    held = {number for number, at in times_of(LEDGER, before).items() if at >= hold.start_us}
    assert (report.restored_rows, report.collected) == (len(held), 1)
    assert all_rows(database, LEDGER) == {number: before[number] for number in held}
    assert manager.run().restored_rows == 0
    (certificate,) = manager.certificates()
    assert (certificate.rows, certificate.restored_rows) == (50, len(held))
    assert certificate.destroyed_us is not None
    keys = database.readers.rows("SELECT count(*) FROM archived_keys")
    assert keys == [(len(held),)], "what is back is known by its key"
    assert examine(database, "scrub").problems == ()


def test_a_hold_that_comes_during_a_deletion_stops_it(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 50, days=10))
    before = all_rows(database, LEDGER)
    manager = DataRetentionManager(database)
    live_until(database, BEGIN_US + 7 * YEAR_US + 13 * DAY_US)
    database.clock.set(DUE_US)  # type: ignore[attr-defined]
    manager.run(stop=lambda: True)
    (planned,) = manager.plan_deletions()

    def interfere(name: str) -> None:
        if name == "read":
            manager.hold("ledger", reason="just in time", held_by="counsel")

    with pytest.raises(MoveFailed, match="legal hold that was placed a moment ago"):
        Deleter(database, Replacer(database, interfere)).delete(planned)
    assert all_rows(database, LEDGER) == before
    assert manager.run().deleted_rows == 0


def test_a_file_under_a_hold_is_not_destroyed(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold that comes between the check and the deletion of the bytes: they stay, and the next run restores them."""
    insert(database, LEDGER, make_rows(LEDGER, rng, 50, days=10))
    before = all_rows(database, LEDGER)
    manager = DataRetentionManager(database)
    live_until(database, DUE_US)
    database.clock.set(DUE_US + 2 * DAY_US)  # type: ignore[attr-defined]

    def hold_late(_database: DatabaseManager) -> list[Path]:
        manager.hold("ledger", reason="at the last moment", held_by="counsel")
        return []

    monkeypatch.setattr(round_module, "sweep", hold_late)
    assert manager.run().collected == 0
    monkeypatch.undo()
    assert len(parquet_files(database)) == 1
    assert manager.run().restored_rows == 50
    assert all_rows(database, LEDGER) == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reason": " "}, InvalidValue, "reason"),
        ({"held_by": ""}, InvalidValue, "held_by"),
        ({"start": NOW_US, "end": NOW_US}, InvalidValue, "no moment lies between"),
        ({"dataset": "balances"}, UnknownDataset, "has no tiers"),
        ({"dataset": "trade"}, UnknownDataset, "did you mean trades"),
        ({"start": "yesterday"}, InvalidValue, "yesterday"),
    ],
)
def test_a_hold_that_cannot_be_placed(
    database: DatabaseManager, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    manager = DataRetentionManager(database)
    with pytest.raises(error, match=message):
        manager.hold(**{"dataset": "trades", "reason": "x", "held_by": "y", **arguments})
    assert manager.holds() == []


def test_a_hold_is_released_once(database: DatabaseManager) -> None:
    manager = DataRetentionManager(database)
    hold = manager.hold("trades", reason="x", held_by="y")
    with pytest.raises(InvalidValue, match="released_by"):
        manager.release(hold.hold_id, released_by="")
    manager.release(hold.hold_id, released_by="y")
    with pytest.raises(NotFound, match="in force"):
        manager.release(hold.hold_id, released_by="y")
