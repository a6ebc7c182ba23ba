"""Deletions of real files: what is old enough goes with a certificate, whatever ends the run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.errors import ArchiveCorrupt, InvalidValue, NotFound
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.retention import round as round_module
from hybridstore.retention.collector import COLLECT_STEPS
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.plans import LATE_STAYS_US
from hybridstore.retention.replacer import REPLACEMENT_STEPS
from hybridstore.retention.trusted_clock import LEAP_MAX_US
from hybridstore.retention.verification import examine
from hybridstore.schema.books import LEDGER
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.market import MARKET_TRADES
from hybridstore.schema.types import EXACT, moment
from tests.retention.aging import (
    BEGIN_US,
    DUE_US,
    YEAR_US,
    counting,
    live_until,
    parquet_files,
    times_of,
)
from tests.tiered import NOW_US, OLD_DAY, TIERED, all_rows, insert, make_rows, open_store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        yield database


class Killed(BaseException):
    """What ends a run here: no handler for errors may see it, as none runs after a kill."""


@pytest.mark.parametrize("dataset", TIERED, ids=lambda dataset: dataset.name)
def test_rows_of_every_dataset_go_when_they_are_old_enough(
    database: DatabaseManager, dataset: Dataset, rng: random.Random
) -> None:
    insert(database, dataset, make_rows(dataset, rng, 60, days=30))
    before = all_rows(database, dataset)
    manager = DataRetentionManager(database)
    live_until(database, BEGIN_US + 7 * YEAR_US)
    assert all_rows(database, dataset) == before
    live_until(database, DUE_US)
    may_us = BEGIN_US // DAY_US * DAY_US + 14 * DAY_US
    assert f"{moment(may_us):%m-%d}" == "05-01"
    left = {number for number, at in times_of(dataset, before).items() if at >= may_us}
    assert all_rows(database, dataset) == {number: before[number] for number in left}
    (certificate,) = manager.certificates()
    assert (certificate.rows, certificate.dataset) == (60 - len(left), dataset.name)
    assert certificate.time_max_us == max(at for at in times_of(dataset, before).values() if at < may_us)
    assert certificate.destroyed_us is None
    live_until(database, DUE_US + 2 * DAY_US)
    (certificate,) = manager.certificates()
    assert certificate.destroyed_us is not None
    assert len(parquet_files(database)) == 1
    assert examine(database, "scrub").problems == ()
    live_until(database, DUE_US + 40 * DAY_US)
    assert all_rows(database, dataset) == {}
    assert sum(one.rows for one in manager.certificates()) == 60


def test_sums_of_what_went_are_certified(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 80, days=30))
    place = LEDGER.column_names.index("amount")
    before = all_rows(database, LEDGER)
    live_until(database, DUE_US)
    (certificate,) = DataRetentionManager(database).certificates()
    gone = before.keys() - all_rows(database, LEDGER).keys()
    assert gone
    total = reduce(EXACT.add, [before[number][place] for number in gone], Decimal(0))
    assert Decimal(certificate.sums["amount"]) == total
    assert certificate.policy == "ledger"
    assert "older than 7 years" in certificate.reason


@pytest.mark.parametrize("step", REPLACEMENT_STEPS)
def test_a_deletion_that_is_killed_at_any_step_is_done_by_the_next_run(
    tmp_path: Path, rng: random.Random, step: str
) -> None:
    with open_store(tmp_path) as database:
        insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=30))
        before = all_rows(database, MARKET_TRADES)
        live_until(database, BEGIN_US + 7 * YEAR_US + 13 * DAY_US)
        database.clock.set(DUE_US)  # type: ignore[attr-defined]  # a ManualClock

        def die(name: str) -> None:
            if name == step:
                raise Killed

        with pytest.raises(Killed):
            DataRetentionManager(database).run(on_replace_step=die)
        found = all_rows(database, MARKET_TRADES)
        assert (found == before) is (step != "replaced")
    with open_store(tmp_path) as database:
        database.clock.set(DUE_US)  # type: ignore[attr-defined]
        DataRetentionManager(database).run()
        left = all_rows(database, MARKET_TRADES)
        assert 0 < len(left) < 60
        assert left.items() <= before.items()
        assert len(DataRetentionManager(database).certificates()) == 1
        assert examine(database, "scrub").problems == ()


@pytest.mark.parametrize("step", COLLECT_STEPS)
def test_a_collection_that_is_killed_at_any_step_is_done_by_the_next_run(
    tmp_path: Path, rng: random.Random, step: str
) -> None:
    with open_store(tmp_path) as database:
        insert(database, LEDGER, make_rows(LEDGER, rng, 30, days=10))
        live_until(database, DUE_US)
        database.clock.set(DUE_US + 2 * DAY_US)  # type: ignore[attr-defined]

        def die(name: str) -> None:
            if name == step:
                raise Killed

        with pytest.raises(Killed):
            DataRetentionManager(database).run(on_replace_step=die)
    with open_store(tmp_path) as database:
        database.clock.set(DUE_US + 2 * DAY_US)  # type: ignore[attr-defined]
        DataRetentionManager(database).run()
        assert parquet_files(database) == []
        (certificate,) = DataRetentionManager(database).certificates()
        assert certificate.destroyed_us is not None
        assert database.readers.rows("SELECT count(*) FROM archived_keys") == [(0,)]
        assert examine(database, "scrub").problems == ()


def test_a_damaged_file_is_not_deleted_and_named(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
    live_until(database, BEGIN_US + 7 * YEAR_US + 13 * DAY_US)
    (path,) = parquet_files(database)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    database.clock.set(DUE_US)  # type: ignore[attr-defined]
    with pytest.raises(ArchiveCorrupt, match="the manifest says"):
        DataRetentionManager(database).run()
    assert counting(database) == [("frozen", 60)]
    path.write_bytes(whole)
    assert DataRetentionManager(database).run().deleted_rows == 60


def test_an_older_copy_of_the_database_deletes_no_row(
    database: DatabaseManager, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 60, days=3))
    live_until(database, BEGIN_US + 7 * YEAR_US + 13 * DAY_US)
    database.clock.set(DUE_US)  # type: ignore[attr-defined]
    monkeypatch.setattr(round_module, "doubt", lambda _database: "it may be an older copy")
    assert DataRetentionManager(database).run().deleted_rows == 0
    monkeypatch.undo()
    assert DataRetentionManager(database).run().deleted_rows == 60


def test_versions_and_keys_of_deleted_rows_go_with_them(
    database: DatabaseManager, rng: random.Random
) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 40, days=30))
    manager = DataRetentionManager(database)
    manager.run()
    times = times_of(LEDGER, all_rows(database, LEDGER))
    may_us = BEGIN_US + 14 * DAY_US
    old, young = min(times, key=times.__getitem__), max(times, key=times.__getitem__)
    assert times[old] < may_us <= times[young]

    def correct(session: WriteSession) -> None:
        for number in (old, young):
            session.run("insert_superseded_rows", ("ledger", number, session.seq))
            values = ("ledger", number, number, number + 1_000, "{}", "{}", session.ts_us)
            session.run("insert_corrections", values)

    database.writer.call(correct)
    assert database.readers.rows("SELECT count(*) FROM archived_keys") == [(40,)]
    live_until(database, DUE_US)
    assert database.readers.rows("SELECT count(*) FROM corrections") == [(2,)], (
        "until the bytes are destroyed"
    )
    live_until(database, DUE_US + 2 * DAY_US)
    assert database.readers.rows("SELECT row_id FROM superseded_rows") == [(young,)]
    assert database.readers.rows("SELECT row_id FROM corrections") == [(young,)]
    left = sum(at >= may_us for at in times.values())
    assert database.readers.rows("SELECT count(*) FROM archived_keys") == [(left,)]


def test_a_run_can_be_stopped_between_deletions(database: DatabaseManager, rng: random.Random) -> None:
    for dataset in (LEDGER, MARKET_TRADES):
        insert(database, dataset, make_rows(dataset, rng, 20, days=2))
    live_until(database, BEGIN_US + 7 * YEAR_US + 13 * DAY_US)
    database.clock.set(DUE_US)  # type: ignore[attr-defined]
    steps: list[str] = []
    manager = DataRetentionManager(database)
    report = manager.run(on_replace_step=steps.append, stop=lambda: steps.count("replaced") == 1)
    assert (report.complete, report.deleted_rows) == (False, 20)
    report = manager.run()
    assert (report.complete, report.deleted_rows) == (True, 20)


def test_a_shorter_policy_deletes_sooner(tmp_path: Path, rng: random.Random) -> None:
    policy = RetentionPolicy(
        name="ticks", table_name="market_trades", cold_retention_days=40, frozen_retention_years=1
    )
    with open_store(tmp_path) as database:
        insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 20))
        clock: Any = database.clock
        manager = DataRetentionManager(database, [policy])
        while clock.now_us() < BEGIN_US + YEAR_US + 60 * DAY_US:
            clock.advance(LEAP_MAX_US)
            manager.run()
        (certificate,) = manager.certificates()
        assert (certificate.policy, certificate.rows) == ("ticks", 20)


@pytest.mark.parametrize("later", [True, False], ids=["with younger rows", "alone"])
def test_a_fill_that_was_deleted_is_not_counted_again(tmp_path: Path, *, later: bool) -> None:
    clock = ManualClock(BEGIN_US)
    fill: dict[str, Any] = {"trade_id": "f-1", "executed_at": BEGIN_US}
    with HybridStore(tmp_path / "store", clock=clock) as store:
        store.record_fill("BTC/USDT", "buy", "100", "2", **fill)
        if later:
            clock.advance(20 * DAY_US)
            store.record_fill("BTC/USDT", "buy", "100", "1", trade_id="f-2")
        while clock.now_us() < DUE_US:
            clock.advance(31 * DAY_US)
            store.retention.run()
        clock.advance(2 * DAY_US)
        store.retention.run()
        assert store.sql("SELECT count(*) FROM trades").rows() == [(int(later),)]
        with pytest.raises(InvalidValue, match="were deleted by policy, and this may be one of them"):
            store.record_fill("BTC/USDT", "buy", "100", "2", **fill)
        store.record_fill("BTC/USDT", "buy", "100", "3", trade_id="f-3")
        with pytest.raises(NotFound, match="trades before 2026-05-01 were deleted by policy"):
            store.books.prove()
        begin = moment(BEGIN_US)
        for ask in (
            store.books.reconcile,
            store.books.lots,
            lambda: store.books.portfolio(at=begin),
            lambda: store.books.portfolio(at=begin, source="booked"),
            lambda: store.books.positions(at=begin),
        ):
            with pytest.raises(NotFound, match="cannot be added up any more"):
                ask()
        assert store.books.reconcile(start=clock.now_us() - DAY_US).account == "default"
        held = store.sql("SELECT amount FROM ledger_balances WHERE asset = 'BTC'").rows()
        assert held == [(Decimal(6 if later else 5),)]


def test_a_history_that_is_told_too_late_stays_for_a_month(
    database: DatabaseManager, rng: random.Random
) -> None:
    manager = DataRetentionManager(database)
    manager.run()
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 30, first_day=OLD_DAY - 4_000, days=40))
    before = all_rows(database, MARKET_TRADES)
    assert manager.run().rows == 30
    live_until(database, NOW_US + LATE_STAYS_US - DAY_US)
    assert all_rows(database, MARKET_TRADES) == before
    assert sum(report.deleted_rows for report in live_until(database, NOW_US + LATE_STAYS_US + DAY_US)) == 30


def test_a_damaged_file_of_deleted_rows_is_destroyed_and_the_log_says_so(
    database: DatabaseManager, rng: random.Random
) -> None:
    insert(database, LEDGER, make_rows(LEDGER, rng, 30, days=10))
    live_until(database, DUE_US)
    (path,) = parquet_files(database)
    path.write_bytes(path.read_bytes()[:-1])
    database.clock.set(DUE_US + 2 * DAY_US)  # type: ignore[attr-defined]  # a ManualClock
    manager = DataRetentionManager(database)
    assert manager.run().collected == 1
    assert parquet_files(database) == []
    assert "the manifest says" in manager.history(1)[0].detail
    assert database.readers.rows("SELECT count(*) FROM archived_keys") == [(30,)]


def test_what_is_missing_on_one_side_stops_no_other_deletion(
    database: DatabaseManager, rng: random.Random
) -> None:
    for dataset in (LEDGER, MARKET_TRADES):
        insert(database, dataset, make_rows(dataset, rng, 40, days=25))
    live_until(database, DUE_US)
    (kept,) = database.readers.rows(
        "SELECT path FROM archive_files WHERE replaced_seq IS NULL AND dataset = 'ledger'"
    )
    (database.root / kept[0]).unlink()
    database.clock.set(DUE_US + 2 * DAY_US)  # type: ignore[attr-defined]  # a ManualClock
    with pytest.raises(ArchiveCorrupt, match="is missing"):
        DataRetentionManager(database).run()
    destroyed = {one.dataset: one.destroyed_us for one in DataRetentionManager(database).certificates()}
    assert destroyed["ledger"] is None
    assert destroyed["market_trades"] is not None
