"""More rows than the hot store should keep: the oldest leave early, every row stays there once, and is known again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.manager import DataRetentionManager
from hybridstore.retention.verification import examine
from hybridstore.schema.market import MARKET_TRADES
from tests.tiered import NOW_US, all_rows, hot_rows, insert, make_rows, open_store

TODAY = NOW_US // DAY_US
POLICY = RetentionPolicy(name="few", table_name="market_trades", max_hot_records=400)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseManager]:
    with open_store(tmp_path) as database:
        yield database


def tiers(database: DatabaseManager) -> list[tuple[str, int]]:
    return database.readers.rows(
        "SELECT tier, row_count FROM archive_files WHERE replaced_seq IS NULL ORDER BY start_us, row_count"
    )


def test_the_oldest_rows_leave_early(database: DatabaseManager, rng: random.Random) -> None:
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 300, first_day=TODAY - 3, days=3))
    manager = DataRetentionManager(database, [POLICY])
    assert manager.run().rows == 0
    insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 200, first_day=TODAY - 1, number=1_000))
    before = all_rows(database, MARKET_TRADES)
    report = manager.run()
    assert 200 <= report.rows <= 500
    assert {tier for tier, _ in tiers(database)} == {"hot"}
    assert list((database.root / "archives" / "hot" / "market_trades").rglob("*.parquet"))
    assert len(hot_rows(database, MARKET_TRADES)) <= 300
    assert all_rows(database, MARKET_TRADES) == before
    assert manager.run().rows == 0
    clock: Any = database.clock
    clock.set(NOW_US + 20 * DAY_US)
    manager.run()
    assert {tier for tier, _ in tiers(database)} == {"warm"}, "what left early goes where its age says"
    assert all_rows(database, MARKET_TRADES) == before
    clock.set(NOW_US + 100 * DAY_US)
    manager.run()
    assert {tier for tier, _ in tiers(database)} == {"cold"}
    assert all_rows(database, MARKET_TRADES) == before
    assert examine(database, "scrub").problems == ()


def test_a_day_that_is_not_over_overflows_again_and_again(tmp_path: Path, rng: random.Random) -> None:
    """Trades go on, some come late or twice, and each is there once."""
    clock, told = ManualClock(TODAY * DAY_US), []
    with HybridStore(tmp_path / "store", clock=clock, policies=[POLICY]) as store:
        for number in range(2_000):
            clock.advance(1_000_000 + rng.randrange(20_000_000))
            late_us = rng.choice((0, 0, 0, rng.randrange(3_600_000_000)))
            told.append(("BTC/USDT", number, str(100 + number), "1", "buy", clock.now_us() - late_us))
            store.record_market_trades([told[-1]])
            if number % 150 == 149:
                store.retention.run()
                store.record_market_trades(rng.sample(told, 20))
        assert store.sql("SELECT count(*), count(DISTINCT trade_id) FROM market_trades").rows() == [
            (2_000, 2_000)
        ]
        condition = store.retention.status()["tiers"]["market_trades"]
        assert list(condition) == ["hot"]
        assert condition["hot"]["rows"] > 1_000
        store.retention.run()
        rows = store.sql("SELECT trade_id, price FROM market_trades ORDER BY trade_id").rows()
        assert [(int(trade_id), int(price)) for trade_id, price in rows] == [
            (number, 100 + number) for number in range(2_000)
        ]


def test_what_happens_now_does_not_wait_for_the_archive_of_today(tmp_path: Path) -> None:
    clock = ManualClock(TODAY * DAY_US)
    with HybridStore(tmp_path / "store", clock=clock, policies=[POLICY]) as store:
        for number in range(500):
            clock.advance(1_000_000)
            store.record_market_trades([("BTC/USDT", number, "1", "1", "buy", clock.now_us())])
        assert store.retention.run().rows == 200
        asked: list[object] = []
        lookup = store.database.archive_lookup
        assert lookup is not None

        def count(needs: Any) -> Any:
            asked.extend(needs)
            return lookup(needs)

        store.database.archive_lookup = count
        clock.advance(1_000_000)
        store.record_market_trades([("BTC/USDT", 501, "1", "1", "buy", clock.now_us())])
        assert asked == []
        store.record_market_trades([("BTC/USDT", 10, "1", "1", "buy", TODAY * DAY_US + 11_000_000)])
        assert len(asked) == 1, "what is as old as what was archived is looked for"
        assert store.sql("SELECT count(*) FROM market_trades").rows() == [(501,)]


def test_an_uncompressed_policy(tmp_path: Path, rng: random.Random) -> None:
    import pyarrow.parquet as pq

    policy = RetentionPolicy(name="plain", table_name="market_trades", enable_compression=False)
    with open_store(tmp_path) as database:
        insert(database, MARKET_TRADES, make_rows(MARKET_TRADES, rng, 50, days=2))
        manager = DataRetentionManager(database, [policy])
        before = all_rows(database, MARKET_TRADES)
        for later_us in (0, 100 * DAY_US):
            manager.run(NOW_US + later_us)
            for (path,) in database.readers.rows("SELECT path FROM archive_files WHERE replaced_seq IS NULL"):
                metadata = pq.read_metadata(database.root / path)
                assert metadata.row_group(0).column(0).compression == "UNCOMPRESSED"
        assert all_rows(database, MARKET_TRADES) == before
