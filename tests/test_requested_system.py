"""The snippets of the requested system run as they are written.

Three things are given to them: what they import comes from ``hybridstore`` instead of ``src.storage``; the folder
``D:/trading_data`` is a temporary one; and the names their prose speaks of (``storage``, ``multiple_updates``,
``logger``) exist. Where a snippet leaves arguments out (``...``), the test says what it puts there.
"""

from __future__ import annotations

import logging
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import hybridstore
from hybridstore import BackupConfig, DatabaseConfig, HybridStore, ManualClock, TradingBotStorageSystem
from hybridstore.clock import DAY_US
from hybridstore.config import load_settings
from hybridstore.operations import diagnostics
from tests.hot.books import START_US
from tests.requested import fill_in, items_of, options_of, read_document, run, snippet, snippets_of


@pytest.fixture(scope="module")
def document() -> str:
    """Return the text of the requested system; the test skips, saying so, where it is absent."""
    return read_document()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is every store's root by default."""
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(tmp_path / "trading_data"))
    return tmp_path / "trading_data"


def test_every_snippet_has_its_test(document: str) -> None:
    sections = [section for section, _ in snippets_of(document)]
    assert len(sections) == len(re.findall("^```python$", document, re.MULTILINE))
    tests = {"test_" + re.sub(r"\W", "_", section.lower()) for section in sections}
    assert [name for name in sorted(tests) if name not in globals()] == []


def test_every_name_the_snippets_import_is_public(document: str) -> None:
    wanted = {
        name.strip()
        for _, code in snippets_of(document)
        for names in re.findall(r"^from src\.storage[\w.]* import (.+)$", code, re.MULTILINE)
        for name in names.split(",")
    }
    assert {"DatabaseManager", "TradingBotStorageSystem", "RetentionPolicy"} <= wanted
    assert wanted <= set(hybridstore.__all__)


# -- quick start -------------------------------------------------------------------------------------------------


def test_basic_usage(document: str, root: Path) -> None:
    names = run(snippet(document, "Basic Usage"), {"Decimal": Decimal})
    balance = names["balance"]
    assert (balance.asset, balance.source) == ("USDT", "websocket")
    assert (balance.balance, balance.hold_trade) == (Decimal("1000.50"), Decimal("50.25"))
    assert balance.available == Decimal("950.25")
    assert names["db_manager"].path == root / "trading_bot.db"
    names["db_manager"].shutdown()
    with HybridStore(root) as store:
        assert store.get_latest_balance("USDT") == balance
        history = store.database.readers.rows(
            "SELECT asset, balance, hold_trade, source FROM balance_history"
        )
        assert history == [("USDT", "1000.5", "50.25", "websocket")]


def test_complete_integration(document: str, root: Path) -> None:
    names = run(snippet(document, "Complete Integration"), {"Decimal": Decimal})
    latest, summary, report = names["latest_balance"], names["portfolio_summary"], names["performance_report"]
    assert (latest.balance, latest.hold_trade) == (Decimal("0.5"), 0)
    assert summary.account == "default"
    assert {test["test"] for test in report["tests"]} >= {"latest_balance", "durable_write"}
    assert report["overall_status"] in {"optimal", "degraded"}
    assert isinstance(names["storage"], TradingBotStorageSystem)
    assert not names["storage"].store.database.is_open, "the block closed it"
    with HybridStore(root) as store:
        assert store.get_latest_balance("BTC") == latest
        (position,) = store.get_open_positions()
        assert (position.position_id, position.symbol, position.side) == ("pos_001", "BTC/USDT", "LONG")
        assert position.amount == Decimal("0.1")
        assert (position.entry_price, position.mark_price) == (Decimal(45000), Decimal(45500))
        assert position.unrealized_pnl == 50


# -- architecture --------------------------------------------------------------------------------------------------


def test_database_structure(document: str, root: Path) -> None:
    """The folders that are drawn are there once there is something to put in them."""
    drawn = [
        item.text.strip("│├└─ ").split()[0]
        for item in items_of(document)
        if item.kind == "line" and item.section == "Database Structure"
    ]
    assert old_rows(root) == 1
    with HybridStore(root) as store:
        store.retention.run(now_us=START_US + 30 * DAY_US)
        store.sql("SELECT count(*) FROM balance_history")
    made = {path.name + "/" * path.is_dir() for path in root.rglob("*")}
    assert {name for name in drawn[1:] if name not in made} == {
        "backups/", "20250802/", "full/", "incremental/", "hot/", "cold/", "frozen/",
    }  # fmt: skip
    (file,) = (root / "archives" / "warm" / "balance_history").rglob("*.parquet")
    assert file.is_file()


PROMISED = {
    "Balance Query": ("latest_balance", "all_balances"),
    "Position Update": ("position_update",),
    "Portfolio Summary": ("portfolio_summary",),
    "Batch Balance Insert": ("batch_balance_insert",),
}
"""Rows of the document's table of times, and the tests of the diagnostics that hold the store to them."""


def test_the_promised_times_are_those_that_diagnostics_check(document: str) -> None:
    table = [item.text for item in items_of(document) if item.kind == "row"]
    promised = {
        cells[1].strip(): float(found[1])
        for row in table
        if (cells := row.split("|")) and (found := re.match(r" < (\d+)ms", cells[2]))
    }
    assert set(promised) == set(PROMISED)
    for operation, tests in PROMISED.items():
        assert {diagnostics.TARGETS_MS[test] for test in tests} == {promised[operation]}
    assert "# Record balance update (sub-10ms)" in document
    assert diagnostics.TARGETS_MS["durable_write"] == 10
    assert "# Get latest balance (sub-50ms)" in document
    assert diagnostics.TARGETS_MS["latest_balance"] == DatabaseConfig().balance_query_timeout


# -- configuration -----------------------------------------------------------------------------------------------


def test_database_configuration(document: str, tmp_path: Path) -> None:
    root = tmp_path / "chosen"
    config = run(snippet(document, "Database Configuration"), {}, root)["config"]
    assert options_of(document, "Database Configuration") <= set(DatabaseConfig.__struct_fields__)
    with HybridStore(config=config) as store:
        assert store.database.path == root / "trading_bot.db"
        readers = store.database.readers
        assert readers.rows("PRAGMA journal_mode") == [("wal",)]
        assert readers.rows("PRAGMA cache_size") == [(-128 * 1024,)]
        with readers.transaction() as scan:
            assert scan.rows("PRAGMA mmap_size")[0][0] > 0
        status = store.get_system_status()
        assert status["database"]["connection_pool"]["max_connections"] == 20
        assert status["query_optimization"]["cache_enabled"] is True
        assert (store.config.balance_query_timeout, store.config.position_query_timeout) == (50, 100)


def test_backup_configuration(document: str, tmp_path: Path) -> None:
    root = tmp_path / "chosen"
    config: BackupConfig = run(snippet(document, "Backup Configuration"), {}, root)["backup_config"]
    assert config == BackupConfig(backup_base_path=f"{root.as_posix()}/backups"), (
        "but for the folder, the snippet gives the defaults"
    )
    options = options_of(document, "Backup Configuration")
    assert options < set(BackupConfig.__struct_fields__), "there are settings it does not name, too"
    lines = [f"{name} = {getattr(config, name)!r}".replace("True", "true") for name in sorted(options)]
    root.mkdir()
    (root / "hybridstore.toml").write_text("[backup]\n" + "\n".join(lines), encoding="utf-8")
    assert load_settings(root, {}).backup == config, "a file can say the same"


def test_data_retention_policies(document: str, root: Path) -> None:
    policy = run(snippet(document, "Data Retention Policies"), {})["balance_policy"]
    assert options_of(document, "Data Retention Policies") == set(policy.__struct_fields__)
    clock = ManualClock(START_US)
    with HybridStore(root, clock=clock, policies=[policy]) as store:
        for _ in range(10):
            store.record_balance_update("USDT", 1)
            clock.advance(DAY_US)
        store.retention.run(now_us=clock.now_us())
        rows = store.get_system_status()["datasets"]["balance_history"]
        assert rows == {"hot_rows": 7, "archived_rows": 3}, (
            "whole days older than seven left the active database"
        )
        assert len(store.get_balance_history("USDT")) == 10


# -- integration -------------------------------------------------------------------------------------------------


class Balances:
    """A balance manager as bots have them."""

    def __init__(self) -> None:
        self.balances: dict[str, Decimal] = {}

    def update_balance(self, asset: str, balance: Decimal) -> None:
        self.balances[asset] = balance


class Portfolio:
    """A portfolio manager as bots have them."""

    def open_position(self, symbol: str, side: str, amount: Decimal, entry_price: Decimal) -> None:
        self.symbol, self.side, self.amount, self.entry_price = symbol, side, amount, entry_price


def test_balance_manager_integration(document: str, root: Path) -> None:
    manager = Balances()
    names: dict[str, Any] = {
        "TradingBotStorageSystem": TradingBotStorageSystem,
        "your_balance_manager": manager,
    }

    async def trade() -> None:
        manager.update_balance("BTC", Decimal("0.5"))
        manager.update_balance("BTC", Decimal("0.75"))
        await names["bridge"].close()
        await names["storage_system"].close()

    run(snippet(document, "Balance Manager Integration"), names, then=trade)
    assert manager.balances == {"BTC": Decimal("0.75")}, "the manager works as before"
    with HybridStore(root) as store:
        assert store.get_balance_history("BTC").sort("id")["balance"].to_list() == [
            Decimal("0.5"),
            Decimal("0.75"),
        ]


def test_portfolio_manager_integration(document: str, root: Path) -> None:
    """The snippet goes on with the bridge of the one before, so both run."""
    portfolio = Portfolio()
    names: dict[str, Any] = {
        "TradingBotStorageSystem": TradingBotStorageSystem,
        "your_balance_manager": Balances(),
        "your_portfolio_manager": portfolio,
    }

    async def trade() -> None:
        portfolio.open_position("BTC/USDT", "LONG", Decimal("0.1"), Decimal(45000))
        await names["bridge"].close()
        await names["storage_system"].close()

    sections = ("Balance Manager Integration", "Portfolio Manager Integration")
    run("".join(snippet(document, section) for section in sections), names, then=trade)
    assert portfolio.symbol == "BTC/USDT", "the manager works as before"
    with HybridStore(root) as store:
        (position,) = store.get_open_positions()
    assert (position.symbol, position.side, position.amount) == ("BTC/USDT", "LONG", Decimal("0.1"))
    assert position.entry_price == 45000


# -- monitoring --------------------------------------------------------------------------------------------------


def test_system_status(document: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with HybridStore(root) as store:
        store.record_balance_update("USDT", 1)
    storage = TradingBotStorageSystem(root)
    with storage.store:
        for _ in range(4):
            storage.store.get_all_balances()
        names = run(snippet(document, "System Status"), {"storage": storage})
    status = names["status"]
    size, active, rate, backup = capsys.readouterr().out.splitlines()
    assert size == f"Database size: {status['database']['database_size_mb']}MB"
    assert status["database"]["database_size_mb"] > 0
    assert re.fullmatch(r"Active connections: \d+", active)
    assert rate == "Query cache hit rate: 75.0%"
    assert backup == "Last backup: None"
    assert "no backup" in status["backups"]["warning"]


def test_performance_diagnostics(document: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = TradingBotStorageSystem(root)
    with storage.store:
        names = run(snippet(document, "Performance Diagnostics"), {"storage": storage})
    *tests, overall = capsys.readouterr().out.splitlines()
    assert len(tests) == len(names["diagnostics"]["tests"]) == len(diagnostics.TARGETS_MS)
    for line in tests:
        assert re.fullmatch(r"\w+: \d+\.\d\dms \((pass|slow)\)", line), line
    assert overall in {"Overall status: optimal", "Overall status: degraded"}


# -- best practices ----------------------------------------------------------------------------------------------


def test_high_frequency_operations(document: str, root: Path) -> None:
    """The loop that the document warns of leaves hold and source out; here they are those of the batch."""
    storage = TradingBotStorageSystem(root)
    names = {
        "storage": storage,
        "multiple_updates": [("USDT", Decimal("1000.5")), ("BTC", Decimal("0.25"))],
        "hold": Decimal("0.25"),
        "source": "websocket",
        "reason": "fill",
        "timestamp": "2026-08-01T12:00:00.000001Z",
        "readable": "2026-08-01 12:00:00",
        "change": Decimal(0),
        "pct": Decimal(0),
        "status": "synced",
    }
    with storage.store as store:
        store.record_balance_update("USDT", 1101, changed_at="2026-08-01T11:00:00Z")
        run(fill_in(snippet(document, "High-Frequency Operations"), "hold, source"), names)
        history = store.get_balance_history("USDT").sort("id").to_dicts()
        latest = store.get_latest_balance("USDT")
    _, batch, single = history
    assert (batch["balance"], batch["hold_trade"]) == (Decimal("1000.5"), Decimal("0.25"))
    assert batch["change"] == Decimal("-100.5"), "the store's own figures add up"
    assert (batch["source"], batch["reason"], batch["sync_status"]) == ("websocket", "fill", "synced")
    assert batch["changed_at"].isoformat() == "2026-08-01T12:00:00.000001+00:00"
    assert (single["balance"], single["change"]) == (Decimal("1000.5"), Decimal(0))
    assert latest is not None
    assert (latest.balance, latest.available) == (Decimal("1000.5"), Decimal("1000.25"))


def test_error_handling(document: str, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As it is written the call has no arguments, so the operation fails and is logged; with arguments it succeeds."""
    code = snippet(document, "Error Handling")
    names = {"TradingBotStorageSystem": TradingBotStorageSystem, "logger": logging.getLogger("bot")}
    run(code, dict(names))
    (record,) = caplog.records
    assert record.getMessage().startswith("Storage operation failed: ")
    caplog.clear()
    run(fill_in(code, '"BTC", 1, 2.5, "websocket"'), dict(names))
    (record,) = caplog.records
    assert "hold_trade=2.5" in record.getMessage(), "it names the value, a float"
    caplog.clear()
    run(fill_in(code, '"BTC", 3, 2, "websocket"'), dict(names))
    assert caplog.records == []
    with HybridStore(root) as store:
        (balance,) = store.get_all_balances()
    assert (balance.asset, balance.balance, balance.hold_trade) == ("BTC", Decimal(3), Decimal(2))


def old_rows(root: Path) -> int:
    """Record a balance of long ago; return how many rows of history the hot store has."""
    with HybridStore(root, clock=ManualClock(START_US)) as store:
        store.record_balance_update("BTC", 1)
        hot: int = store.get_system_status()["datasets"]["balance_history"]["hot_rows"]
    return hot


@pytest.mark.parametrize("given", ["the settings handed over", "the store's own settings"])
def test_performance_tuning(given: str, document: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit that no disk can keep the store is not optimal, and the snippet does what it advises."""
    assert old_rows(root) == 1
    monkeypatch.setitem(diagnostics.TARGETS_MS, "disk_flush", 0.0)
    handed = DatabaseConfig(database_path=str(root / "trading_bot.db"))
    storage = TradingBotStorageSystem(config=handed, clock=ManualClock(START_US + 30 * DAY_US))
    config = handed if given == "the settings handed over" else storage.config
    with storage.store as store:
        names = run(snippet(document, "Performance Tuning"), {"storage": storage, "config": config})
        assert names["diagnostics"]["overall_status"] == "degraded"
        assert (store.config.cache_size_mb, store.config.cache_timeout_seconds) == (256, 600)
        rows = store.get_system_status()["datasets"]["balance_history"]
        assert rows == {"hot_rows": 0, "archived_rows": 1}


def test_nothing_is_tuned_where_all_is_well(
    document: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for test in diagnostics.TARGETS_MS:
        monkeypatch.setitem(diagnostics.TARGETS_MS, test, 1e9)
    storage = TradingBotStorageSystem(root)
    with storage.store:
        names = run(snippet(document, "Performance Tuning"), {"storage": storage, "config": storage.config})
        assert names["diagnostics"]["overall_status"] == "optimal"
        assert storage.config == DatabaseConfig(database_path=str(root / "trading_bot.db"))
