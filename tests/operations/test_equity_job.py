"""Equity snapshots by the clock: every account on every moment of the grid, once, whatever one of them fails of."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybridstore.clock import SECOND_US, ManualClock
from hybridstore.config import Settings, load_settings
from hybridstore.errors import ConfigError
from hybridstore.operations.condition import describe_maintenance, maintenance_status, maintenance_warnings
from hybridstore.operations.equity_job import EquityJob, EquityReport, take_snapshots
from hybridstore.operations.service import serve
from hybridstore.retention.progress import MoveReport
from hybridstore.sections import MaintenanceConfig, PortfolioConfig
from hybridstore.store import HybridStore
from tests.hot.books import START_US, commit_seq, contents, rows

INTERVAL_S = 0.05


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock(START_US)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[HybridStore]:
    """Return an open store on a clock that stands still."""
    with HybridStore(tmp_path / "root", clock=clock) as opened:
        yield opened


def often(root: Path) -> Settings:
    """Return settings of a store that is snapshot many times a second."""
    portfolio = PortfolioConfig(snapshot_interval_s=INTERVAL_S)
    return msgspec.structs.replace(
        load_settings(root), portfolio=portfolio, maintenance=MaintenanceConfig(interval_s=60)
    )


def taken(store: HybridStore) -> list[tuple[Any, ...]]:
    """Return account, moment and equity of every snapshot."""
    return rows(store, "SELECT account, taken_at, equity FROM portfolio_snapshots ORDER BY account, taken_at")


def wait_for(root: Path, snapshots: int) -> None:
    """Wait until a service has taken some."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        with HybridStore(root) as store:
            if len(taken(store)) >= snapshots:
                return
        time.sleep(INTERVAL_S)
    raise AssertionError(f"{snapshots} snapshots were not taken in a minute")


def test_each_account_that_has_something_is_taken_once_at_a_moment(
    store: HybridStore, clock: ManualClock
) -> None:
    database = store.database
    nothing = commit_seq(store)
    assert take_snapshots(database, "USDT", START_US) is None
    store.record_balance_update("USDT", 7, account="holds")
    store.record_balance_update("USDT", 0, account="empty")
    store.record_balance_update("USDT", 0, account="owes", debt=3)
    store.record_fill("BTC/USDT:USDT", "buy", 100, 1, account="trades")
    store.update_prices({"BTC/USDT:USDT": 101})
    clock.advance(1500)
    report = take_snapshots(database, "USDT", START_US)
    assert report is not None
    assert (report.snapshots, report.failed) == (3, {})
    assert report.lag_ms == 1.5
    assert datetime.fromisoformat(report.taken_at).timestamp() * SECOND_US == START_US
    assert taken(store) == [("holds", START_US, "7"), ("owes", START_US, "-3"), ("trades", START_US, "1")]
    before = contents(store)
    assert commit_seq(store) > nothing
    assert take_snapshots(database, "USDT", START_US) is None, "a restart does not double"
    assert contents(store) == before


def test_an_account_that_was_emptied_ends_at_zero(store: HybridStore, clock: ManualClock) -> None:
    store.record_balance_update("USDT", 7)
    take_snapshots(store.database, "USDT", START_US)
    store.record_balance_update("USDT", 0)
    for number in range(1, 4):
        clock.advance(SECOND_US)
        take_snapshots(store.database, "USDT", START_US + number * SECOND_US)
    assert [row[2] for row in taken(store)] == ["7", "0"]


def test_an_account_that_fails_keeps_no_other_from_being_taken(store: HybridStore) -> None:
    for account, balance in (("a", 1), ("b", 10**19), ("c", 3)):
        store.record_balance_update("BTC", balance, account=account)
    store.record_mark("BTC/USDT", mark=10**9)
    report = take_snapshots(store.database, "USDT", START_US)
    assert report is not None
    assert report.snapshots == 2
    assert list(report.failed) == ["b"]
    assert "digits before the point" in report.failed["b"]
    assert [row[0] for row in taken(store)] == ["a", "c"]
    told = {**maintenance_status(store.root), "last_equity": report.to_dict()}
    (warning,) = maintenance_warnings(told)
    assert warning.startswith("no snapshot was taken of the equity of b: InvalidValue")
    assert "last equity 2026-08-01 12:00:00 UTC" in describe_maintenance(told)


def test_a_service_takes_snapshots_on_the_grid_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with HybridStore(root) as store:
        store.record_balance_update("USDT", 7)
    for wanted in (3, 6):
        stop = threading.Event()
        service = threading.Thread(target=serve, args=(often(root), stop))
        service.start()
        wait_for(root, wanted)
        stop.set()
        service.join()
    with HybridStore(root) as store:
        moments = [row[1] for row in taken(store)]
        assert len(moments) == len(set(moments)) >= 6
        assert all(at % round(INTERVAL_S * SECOND_US) == 0 for at in moments)
        status = store.get_system_status()
    (latest,) = status["equity"]
    assert (latest["account"], latest["equity"], latest["unpriced"]) == ("default", "7", [])
    told = status["maintenance"]["last_equity"]
    assert told["taken_at"] == latest["taken_at"]
    assert told["lag_ms"] >= 0
    assert status["warnings"] == []


def test_nothing_is_written_where_nothing_was_recorded_and_with_an_interval_of_zero(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with HybridStore(root) as store:
        nothing = commit_seq(store)
        errors: list[Exception] = []
        reports: list[EquityReport] = []
        run_for(often(root), 10 * INTERVAL_S, reports, errors)
        assert commit_seq(store) == nothing
        store.record_balance_update("USDT", 7)
        never = msgspec.structs.replace(often(root), portfolio=PortfolioConfig(snapshot_interval_s=0))
        run_for(never, 4 * INTERVAL_S, reports, errors)
        assert (taken(store), reports, errors) == ([], [], [])
    missing = often(tmp_path / "missing")
    run_for(missing, 4 * INTERVAL_S, reports, errors)
    assert (reports, errors) == ([], [])
    assert not missing.database.root.exists(), "it creates no store"


def run_for(settings: Settings, seconds: float, reports: list[EquityReport], errors: list[Exception]) -> None:
    """Let the job run for a while."""
    stop = threading.Event()
    job = EquityJob(settings, stop, reports.append, errors.append)
    job.start()
    stop.wait(seconds)
    stop.set()
    job.close()


def test_a_moment_that_fails_as_a_whole_is_told_and_the_next_one_tried(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with HybridStore(root) as store:
        store.record_balance_update("USDT", 7)
    settings = often(root)
    content = settings.database.path.read_bytes()
    settings.database.path.write_bytes(b"no database" * 1000)
    stop, failed = threading.Event(), threading.Event()
    errors: list[Exception] = []
    reports: list[EquityReport] = []

    def note(error: Exception) -> None:
        errors.append(error)
        failed.set()

    def end(report: EquityReport) -> None:
        reports.append(report)
        stop.set()

    job = EquityJob(settings, stop, end, note)
    job.start()
    assert failed.wait(60)
    settings.database.path.write_bytes(content)
    assert stop.wait(60)
    job.close()
    assert errors
    assert reports[0].snapshots == 1


def test_snapshots_go_on_while_a_round_takes_long(tmp_path: Path) -> None:
    root, stop = tmp_path / "root", threading.Event()
    with HybridStore(root) as store:
        store.record_balance_update("USDT", 7)

    def linger(_: MoveReport) -> None:
        wait_for(root, 3)
        stop.set()

    serve(often(root), stop, on_report=linger)
    with HybridStore(root) as store:
        assert len(taken(store)) >= 3


def test_writes_of_others_between_snapshots_are_counted(store: HybridStore) -> None:
    """The job's process sees what a bot's process writes: nothing is remembered past a foreign commit."""
    with HybridStore(store.root, clock=store.database.clock) as bot:
        for number in range(1, 4):
            bot.record_balance_update("USDT", number)
            bot.record_ledger_entries([("default", f"d{number}", "deposit", "USDT", 1, None, START_US)])
            take_snapshots(store.database, "USDT", START_US + number)
    assert rows(store, "SELECT equity, net_flow FROM portfolio_snapshots ORDER BY taken_at") == [
        ("1", "1"),
        ("2", "1"),
        ("3", "1"),
    ]


def test_an_account_is_one_commit(store: HybridStore) -> None:
    for account in ("a", "b"):
        store.record_balance_update("USDT", 1, account=account)
    before = commit_seq(store)
    take_snapshots(store.database, "USDT", START_US)
    assert commit_seq(store) == before + 2


@pytest.mark.parametrize(
    "settings", [{"snapshot_interval_s": -1}, {"snapshot_interval_s": 0.001}, {"base_currency": ""}]
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PortfolioConfig(**settings)
