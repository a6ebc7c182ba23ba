"""Diagnostics: each operation is measured on the store itself, whose books stay as they are."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hybridstore.hot.session import WriteSession
from hybridstore.operations import diagnostics
from hybridstore.operations.diagnostics import run_diagnostics
from hybridstore.store import HybridStore
from tests.hot.books import contents


def test_each_operation_is_measured_and_no_book_changes(tmp_path: Path) -> None:
    with HybridStore(tmp_path / "root") as store:
        store.record_balance_update("USDT", 1)
        store.record_fill("BTC/USDT:USDT", "buy", 100, 1)
        before = contents(store)
        report = store.run_performance_diagnostics()
        after = contents(store)
    assert [test["test"] for test in report["tests"]] == [
        "latest_balance",
        "open_positions",
        "portfolio_summary",
        "durable_write",
    ]
    for test in report["tests"]:
        assert test["execution_time_ms"] > 0
        assert test["status"] == ("pass" if test["execution_time_ms"] <= test["target_ms"] else "slow")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"commit_clock", "settings"}


def test_what_is_slow_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_REPEATS", 3)
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
    assert [test["test"] for test in report["tests"] if test["status"] == "slow"] == ["durable_write"]
    assert report["overall_status"] == "degraded"
