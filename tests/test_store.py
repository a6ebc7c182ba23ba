"""HybridStore: opens where it is told, keeps what it was given over reopening, tells settings from arguments."""

from __future__ import annotations

import os
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import CONFIG_NAME, DATABASE_NAME, DatabaseConfig, RetentionPolicy
from hybridstore.errors import ConfigError, StoreClosed
from hybridstore.store import HybridStore
from tests.hot.books import commit_seq, contents
from tests.hot.children import run


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    store = HybridStore(tmp_path)
    with store:
        store.record_balance_update("BTC", "1.5", "0.5", "ws")
        store.record_fill("BTC/USDT:USDT", "buy", 100, 1, fee="0.1")
        store.record_mark("BTC/USDT:USDT", mark=110)
        before, summary = contents(store), store.get_portfolio_summary()
    with store as again:
        assert contents(again) == before
        assert again.get_portfolio_summary() == summary
    with HybridStore(str(tmp_path)) as other:
        assert contents(other) == before
        assert other.record_fill("BTC/USDT:USDT", "sell", 120, 1).trade.realized_pnl == 20


def test_opening_and_closing_again_changes_nothing(tmp_path: Path) -> None:
    with HybridStore(tmp_path) as store:
        before = commit_seq(store)
        assert store.open() is store
        assert commit_seq(store) == before
    store.close()
    with store:
        assert commit_seq(store) == before, "reopening writes nothing"


def test_the_root_wins_over_the_settings_and_these_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(tmp_path / "environment"))
    config = DatabaseConfig(database_path=str(tmp_path / "config" / DATABASE_NAME), max_connections=3)
    assert HybridStore().root == tmp_path / "environment"
    assert HybridStore(config=config).root == tmp_path / "config"
    both = HybridStore(tmp_path / "argument", config=config)
    assert both.root == tmp_path / "argument"
    assert both.database.config.max_connections == 3
    assert config.database_path == str(tmp_path / "config" / DATABASE_NAME), (
        "the caller's settings stay theirs"
    )
    assert list(tmp_path.iterdir()) == [], "nothing is made before it opens"


def test_the_file_beside_the_store_is_read(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text(
        '[database]\nmax_connections = 7\n[[retention]]\nname = "t"\ntable_name = "trades"\nhot_retention_days = 3\n',
        encoding="utf-8",
    )
    assert HybridStore(tmp_path).database.config.max_connections == 7
    mine = RetentionPolicy(name="mine", table_name="candles")
    assert [policy.name for policy in HybridStore(tmp_path, policies=[mine])._settings.retention] == [
        "t",
        "mine",
    ]


def test_the_file_of_another_store_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRIDSTORE_ROOT", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / CONFIG_NAME).write_text("nonsense = 1\n", encoding="utf-8")
    HybridStore(config=DatabaseConfig(database_path=str(tmp_path / "mine" / DATABASE_NAME)))
    with pytest.raises(ConfigError, match="nonsense"):
        HybridStore()


def test_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRIDSTORE_DURABILITY", "normal")
    assert HybridStore(tmp_path).database.config.durability == "normal"
    monkeypatch.setenv("HYBRIDSTORE_DURABLITY", "normal")
    with pytest.raises(ConfigError, match="HYBRIDSTORE_DURABLITY"):
        HybridStore(tmp_path)


def test_a_block_that_fails_closes_the_store_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    store = HybridStore(tmp_path)

    def fail() -> None:
        with store:
            store.record_balance_update("BTC", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not store.database.is_open
    with pytest.raises(StoreClosed):
        store.get_latest_balance("BTC")
    with store:
        assert store.get_latest_balance("BTC") is not None


def test_parts_are_made_once_and_anew_after_reopening(tmp_path: Path) -> None:
    with HybridStore(tmp_path) as store:
        analytics, retention = store.analytics, store.retention
        assert store.analytics is analytics
        assert store.retention is retention
        store.record_balance_update("BTC", Decimal("1.25"))
        assert store.sql("SELECT sum(balance) FROM balances").rows() == [(Decimal("1.250000000000000000"),)]
    with store:
        assert store.analytics is not analytics
        assert store.retention is not retention
        assert store.sql("SELECT count(*) FROM balance_history").rows() == [(1,)]
        assert store.get_balance_history("BTC")["balance"].to_list() == [Decimal("1.25")]


def test_a_store_that_is_not_open_makes_no_engine(tmp_path: Path) -> None:
    store = HybridStore(tmp_path / "root")
    with pytest.raises(StoreClosed):
        _ = store.analytics
    assert not (tmp_path / "root").exists()
    with store:
        assert store.sql("SELECT 1 AS one").rows() == [(1,)]
    with pytest.raises(StoreClosed):
        store.sql("SELECT 1 AS one")


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with HybridStore(tmp_path) as store:
        store.record_balance_update("BTC", 1)
        store.get_portfolio_summary()
    assert [thread.name for thread in set(threading.enumerate()) - before] == []


def test_the_last_trade_is_found_wherever_it_is(tmp_path: Path) -> None:
    clock = ManualClock(1_785_585_600_000_000)
    with HybridStore(tmp_path, clock=clock) as store:
        assert store.get_last_trade("BTC/USDT") is None
        store.record_fill("BTC/USDT", "buy", 100, 1, trade_id="1", executed_at=clock.now_us())
        store.record_fill("BTC/USDT", "buy", 101, 1, trade_id="2", executed_at=clock.now_us() + 1)
        assert last_price(store) == 101
        clock.advance(10 * DAY_US)
        assert store.retention.run().rows
        assert last_price(store) == 101, "it is archived"
        store.record_fill("BTC/USDT", "buy", 99, 1, trade_id="0", executed_at=clock.now_us() - 11 * DAY_US)
        assert last_price(store) == 101, "what came late to the hot store is older"
        store.record_fill("BTC/USDT", "buy", 102, 1, trade_id="3", executed_at=clock.now_us())
        assert last_price(store) == 102


def last_price(store: HybridStore) -> Decimal | None:
    last = store.get_last_trade("BTC/USDT")
    return None if last is None else last.price


FORK = """
import os, sys
from hybridstore import HybridStore

store = HybridStore(sys.argv[1])

def leave_block():
    pid = os.fork()
    if pid == 0:
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    store.record_balance_update("BTC", 2)

with store:
    store.record_balance_update("BTC", 1)
    assert store.sql("SELECT count(*) FROM balances").rows() == [(1,)]
    leave_block()
    assert store.sql("SELECT balance FROM balances").rows() == [(2,)]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on POSIX only")
def test_a_forked_child_may_leave_the_block_of_its_parent(tmp_path: Path) -> None:
    """The threads of DuckDB stay in the parent: closing its engine in the child would crash."""
    assert run(FORK, tmp_path) == ""
