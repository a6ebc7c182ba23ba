"""Status: one dict of one moment, with figures that add up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.session import WriteSession
from hybridstore.schema.dataset import Column, Dataset, Tiering
from hybridstore.schema.types import LogicalType
from hybridstore.store import HybridStore
from tests.hot.books import START_US, commit_seq


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock(START_US)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[HybridStore]:
    """Return an open store with some rows in it."""
    with HybridStore(tmp_path / "root", clock=clock) as opened:
        for number in range(10):
            opened.record_balance_update("BTC", number)
        opened.record_fill("BTC/USDT:USDT", "buy", 100, 1)
        yield opened


def test_the_status_of_a_store(store: HybridStore) -> None:
    status = store.get_system_status()
    assert status["root"] == str(store.root)
    assert status["schema_version"] == 1
    assert status["commit_seq"] == commit_seq(store)
    assert datetime.fromisoformat(status["committed_at"]).tzinfo is not None
    assert status["warnings"] == []
    assert (status["tiers"], status["open_moves"]) == ({}, 0)
    hot = {name: found["hot_rows"] for name, found in status["datasets"].items() if found["hot_rows"]}
    kept = {"balances": 1, "portfolio_hourly": 1, "portfolio_daily": 1}
    assert hot == kept | {"balance_history": 10, "positions": 1, "position_events": 1, "trades": 1}
    assert "archive_files" not in status["datasets"], "bookkeeping is not data"
    assert json.loads(json.dumps(status)) == status


def test_the_figures_of_the_hot_store(store: HybridStore) -> None:
    hot = store.get_system_status()["database"]
    assert hot["database_size_mb"] > 0
    assert hot["wal_size_mb"] > 0
    before = hot["operations"]
    store.record_balance_update("BTC", 1)
    hot = store.get_system_status()["database"]
    assert hot["operations"] == before + 1
    assert hot["commits"] <= hot["operations"]
    pool = hot["connection_pool"]
    assert (
        pool["active_connections"] + pool["idle_connections"]
        == pool["total_connections"]
        <= pool["max_connections"]
    )
    with store.database.readers.transaction() as snapshot:
        snapshot.rows("SELECT 1")
        pool = store.get_system_status()["database"]["connection_pool"]
        assert pool["active_connections"] >= 1
        assert pool["oldest_reader_s"] >= 0


def test_the_figures_of_the_result_cache(store: HybridStore) -> None:
    store.get_all_balances()
    before = store.get_system_status()["query_optimization"]
    for _ in range(3):
        store.get_all_balances()
    after = store.get_system_status()["query_optimization"]
    assert after["cache_hits"] == before["cache_hits"] + 3
    assert after["cache_misses"] == before["cache_misses"]
    assert after["cache_entries"] >= 1
    asked = after["cache_hits"] + after["cache_misses"]
    assert after["cache_hit_rate"] == pytest.approx(100 * after["cache_hits"] / asked, abs=0.01)
    assert isinstance(after["cache_hit_rate"], float)
    assert after["cache_enabled"] is True
    store.config.enable_query_cache = False
    assert store.get_system_status()["query_optimization"]["cache_enabled"] is False


def test_every_guard_is_in_the_status(store: HybridStore, clock: ManualClock) -> None:
    status = store.get_system_status()
    guards = {guard["guard"]: guard for guard in status["guards"]}
    assert {guard["state"] for guard in guards.values()} == {"ok"}
    assert guards.keys() >= {
        "files",
        "second_sqlite",
        "watermark",
        "disk",
        "log",
        "readers",
        "clock",
        "moves",
    }
    clock.advance(-5_000_000)
    status = store.get_system_status()
    (told,) = (guard for guard in status["guards"] if guard["state"] != "ok")
    assert (told["guard"], told["state"]) == ("clock", "warning")
    assert status["warnings"] == [f"{told['message']}; {told['remedy']}"]
    assert json.loads(json.dumps(status)) == status


def test_a_move_that_does_not_end_is_told(store: HybridStore, clock: ManualClock) -> None:
    claimed_us = clock.now_us()

    def claim(session: WriteSession) -> None:
        row = ("m", "trades", "warm", 0, DAY_US, 1, "claimed", "f", "archives/f.parquet", claimed_us)
        columns = "move_id, dataset, tier, start_us, end_us, max_id, state, file_id, path, claimed_at"
        session.execute(f"INSERT INTO archive_moves ({columns}) VALUES ({', '.join('?' * len(row))})", row)

    store.database.writer.call(claim)
    clock.advance(DAY_US)
    assert store.get_system_status()["warnings"] == []
    clock.advance(1)
    status = store.get_system_status()
    (told,) = (guard for guard in status["guards"] if guard["state"] != "ok")
    assert told["guard"] == "moves"
    assert "since 2026-08-01T12:00:00" in told["message"]
    assert status["warnings"] == [f"{told['message']}; {told['remedy']}"]


def test_a_dataset_that_another_process_made_is_known(store: HybridStore, clock: ManualClock) -> None:
    seen_at = Column("seen_at", LogicalType.TIMESTAMP, "When.")
    own = Dataset(
        name="signals",
        kind="event",
        doc="What a strategy saw.",
        columns=(seen_at,),
        tiering=Tiering(time="seen_at", cluster=("seen_at", "id")),
    )
    with HybridStore(store.root, clock=clock, datasets=[own]) as other:
        other.insert("signals", [(START_US - 40 * DAY_US,), (START_US,)])
        assert other.retention.run().rows == 1
        other.insert("signals", [(START_US - 30 * DAY_US,)])
    assert store.get_system_status()["datasets"]["signals"] == {"hot_rows": 2, "archived_rows": 1}
    assert store.retention.run().rows == 1
    assert store.sql("SELECT count(*) FROM signals").rows() == [(3,)]


def test_a_store_without_a_backup_says_so(store: HybridStore) -> None:
    backups = store.get_system_status()["backups"]
    assert (backups["last_full_backup"], backups["last_incremental_backup"]) == (None, None)
    assert "no backup" in backups["warning"]


def test_rows_that_moved_are_counted_where_they_are(store: HybridStore, clock: ManualClock) -> None:
    clock.advance(45 * DAY_US)
    store.retention.run(now_us=clock.now_us())
    status = store.get_system_status()
    assert status["datasets"]["balance_history"] == {"hot_rows": 0, "archived_rows": 10}
    assert status["datasets"]["balances"] == {"hot_rows": 1, "archived_rows": 0}
    assert status["datasets"]["trades"] == {"hot_rows": 0, "archived_rows": 1}
    assert status["datasets"]["positions"]["hot_rows"] == 1, "it is open"
    assert sum(tier["rows"] for tier in status["tiers"].values()) == 12
    files = list((store.root / "archives").rglob("*.parquet"))
    assert sum(tier["files"] for tier in status["tiers"].values()) == len(files)
    assert sum(tier["size_bytes"] for tier in status["tiers"].values()) == sum(
        one.stat().st_size for one in files
    )
    assert status["open_moves"] == 0
