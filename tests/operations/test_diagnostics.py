"""Diagnostics: each operation is measured where the store is, and its books stay as they are."""

from __future__ import annotations

import json
import os
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.operations import diagnostics
from hybridstore.operations.diagnostics import HINTS, TARGETS_MS, run_diagnostics
from hybridstore.store import HybridStore
from tests.hot.books import contents

TESTS = [
    "latest_balance",
    "all_balances",
    "open_positions",
    "portfolio_summary",
    "query_cache",
    "durable_write",
    "position_update",
    "batch_balance_insert",
    "disk_flush",
]


@pytest.fixture(autouse=True)
def _few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_REPEATS", 3)


def test_each_operation_is_measured_and_no_book_changes(tmp_path: Path) -> None:
    with HybridStore(tmp_path / "root") as store:
        store.record_balance_update("USDT", 1)
        store.record_fill("BTC/USDT:USDT", "buy", 100, 1)
        before = contents(store)
        files = {path.name for path in store.root.iterdir()} | {"logs"}  # a stall is noted there
        report = store.run_performance_diagnostics()
        after = contents(store)
        found = {path.name for path in store.root.iterdir()} | {"logs"}
        assert found == files, "the scratch store is gone"
    assert [test["test"] for test in report["tests"]] == TESTS == list(TARGETS_MS) == list(HINTS)
    for test in report["tests"]:
        assert 0 < test["execution_time_ms"] <= test["worst_ms"]
        assert test["target_ms"] == TARGETS_MS[test["test"]]
        assert test["error"] is None
        slow = test["execution_time_ms"] > test["target_ms"]
        assert test["status"] == ("slow" if slow else "pass")
        assert test["hint"] == (HINTS[test["test"]] if slow else None)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"commit_clock", "settings"}
    assert json.loads(json.dumps(report)) == report


def test_reads_are_measured_without_what_is_kept(tmp_path: Path) -> None:
    """Only the test of the cache itself may be answered from it."""
    with HybridStore(tmp_path / "root") as store:
        store.record_balance_update("BTC", 1, account="kraken/main")
        store.get_all_balances("kraken/main")
        before = store.database.cache.statistics()
        store.run_performance_diagnostics("kraken/main")
        after = store.database.cache.statistics()
    assert after["misses"] - before["misses"] >= 3 * 3, (
        "balances, positions and portfolio were read each time"
    )
    assert after["hits"] > before["hits"]


def test_what_is_slow_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hold(_: WriteSession) -> None:
        release.wait(0.05)

    with HybridStore(tmp_path / "root") as store:
        writer = store.database.writer
        plain = writer.call

        def behind_others(*arguments: object, **named: object) -> object:
            writer.submit(None, hold)
            threading.Event().wait(0.002)
            return plain(*arguments, **named)  # type: ignore[arg-type]  # passes on what it was given

        monkeypatch.setattr(writer, "call", behind_others)
        report = run_diagnostics(store.database)
    slow = {test["test"]: test for test in report["tests"] if test["status"] == "slow"}
    assert "durable_write" in slow
    assert slow["durable_write"]["hint"] == HINTS["durable_write"]
    assert report["overall_status"] == "degraded"


def test_a_query_that_is_cancelled_for_its_time_is_slow(tmp_path: Path) -> None:
    config = DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME), balance_query_timeout=1)
    with HybridStore(config=config) as store:
        store.batch_update_balances([{"asset": f"A{number}", "balance": number} for number in range(60_000)])
        report = store.run_performance_diagnostics()
    tests = {test["test"]: test for test in report["tests"]}
    assert tests["all_balances"]["status"] == "slow"
    assert "took longer than 1 ms" in tests["all_balances"]["error"]
    assert report["overall_status"] == "degraded"


def test_what_fails_is_told_and_the_rest_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_SCRATCH_PREFIX", "no-such-folder/scratch-")
    with HybridStore(tmp_path / "root") as store:
        report = store.run_performance_diagnostics()
    failed = [test for test in report["tests"] if test["status"] == "failed"]
    assert [test["test"] for test in failed] == ["position_update", "batch_balance_insert", "disk_flush"]
    assert all("no-such-folder" in test["error"] and test["hint"] for test in failed)
    assert {test["status"] for test in report["tests"][:6]} <= {"pass", "slow"}
    assert report["overall_status"] == "failing"


def test_a_cache_that_is_off_is_no_fault(tmp_path: Path) -> None:
    config = DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME), enable_query_cache=False)
    with HybridStore(config=config) as store:
        (test,) = (
            one for one in store.run_performance_diagnostics()["tests"] if one["test"] == "query_cache"
        )
    assert (test["status"], test["execution_time_ms"], test["hint"]) == (
        "off",
        0.0,
        "enable_query_cache is off",
    )


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    with HybridStore(tmp_path / "root") as store:
        old, recent = store.root / ".diagnostics-old", store.root / ".diagnostics-recent"
        for folder in (old, recent):
            (folder / "store").mkdir(parents=True)
        os.utime(old, (0, 0))
        store.run_performance_diagnostics()
        assert not old.exists()
        assert recent.exists(), "it may be of a run that goes on"


def test_the_scratch_store_has_the_stores_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DatabaseConfig] = []

    def watched(config: DatabaseConfig, **others: object) -> object:
        seen.append(config)
        return DatabaseManager(config, **others)  # type: ignore[arg-type]  # passes on what it was given

    monkeypatch.setattr("hybridstore.operations.diagnostics.DatabaseManager", watched)
    config = DatabaseConfig(database_path=str(tmp_path / DATABASE_NAME), durability="normal", cache_size_mb=7)
    with HybridStore(config=config) as store:
        store.run_performance_diagnostics()
        assert store.get_all_balances() == []
        assert store.get_portfolio_summary().equity == Decimal(0)
    (scratch,) = seen
    assert (scratch.durability, scratch.cache_size_mb) == ("normal", 7)
    assert scratch.path.is_relative_to(tmp_path), "on the same disk"
    assert not scratch.path.exists()
