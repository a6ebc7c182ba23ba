"""Several processes on one store: each sees what the others wrote, and waits its turn."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.errors import StoreBusy
from hybridstore.store import HybridStore
from tests.hot.books import commit_seq, contents, rows
from tests.hot.children import finish, hear, run, say, start

TURNS = """
import sys
from hybridstore import HybridStore

with HybridStore(sys.argv[1]) as store:
    print("ready", flush=True)
    for line in sys.stdin:
        what, *values = line.split()
        if what == "balance":
            store.record_balance_update(values[0], values[1])
        elif what == "fill":
            store.record_fill("BTC/USDT:USDT", values[0], values[1], values[2])
        elif what == "mark":
            store.record_mark("BTC/USDT:USDT", mark=values[0])
        elif what == "position":
            store.create_position(values[0], "ETH/USDT:USDT", "LONG", 1, 100)
        elif what == "close":
            store.close_position(values[0], values[1])
        elif what == "stop":
            break
        print("done", flush=True)
"""

RACE = """
import sys
from hybridstore import HybridStore

with HybridStore(sys.argv[1]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[3])):
        store.record_balance_update("SHARED", number)
        store.record_balance_update(sys.argv[2], number)
"""

CREATE = """
import sys
from hybridstore import HybridStore

store = HybridStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with store:
    store.record_balance_update(sys.argv[2], 1)
"""

HOLD = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""

DIE = """
import os, sys
from hybridstore import HybridStore

store = HybridStore(sys.argv[1]).open()
for number in range(20):
    store.record_balance_update("BTC", number, durability="normal")
store.create_position("p", "BTC/USDT:USDT", "SHORT", "0.5", 100)
os._exit(9)
"""


@pytest.fixture
def other(store: HybridStore) -> Iterator[subprocess.Popen[str]]:
    """Return another process that has the store open and writes what it is told."""
    child = start(TURNS, store.root)
    hear(child, "ready")
    yield child
    say(child, "stop")
    finish(child)


def tell(child: subprocess.Popen[str], what: str) -> None:
    say(child, what)
    hear(child, "done")


def test_the_change_is_from_the_balance_another_process_wrote(
    store: HybridStore, other: subprocess.Popen[str]
) -> None:
    store.record_balance_update("BTC", 1)
    tell(other, "balance BTC 5")
    store.record_balance_update("BTC", 7)
    tell(other, "balance BTC 4")
    store.record_balance_update("BTC", 4)
    history = rows(store, "SELECT balance, change, change_percentage FROM balance_history ORDER BY id")
    assert history == [
        ("1", None, None),
        ("5", "4", "400"),
        ("7", "2", "40"),
        ("4", "-3", "-42.85714286"),
        ("4", "0", "0"),
    ]


def test_positions_that_another_process_changed_are_the_changed_ones(
    store: HybridStore, other: subprocess.Popen[str]
) -> None:
    store.record_fill("BTC/USDT:USDT", "buy", 100, 1)
    tell(other, "fill buy 200 1")
    opened = store.get_open_positions()
    assert [position.amount for position in opened] == [2]
    assert opened[0].entry_price == 150
    result = store.record_fill("BTC/USDT:USDT", "sell", 200, "0.5")
    assert result.position is not None
    assert (result.position.amount, result.position.realized_pnl) == (Decimal("1.5"), Decimal(25))
    tell(other, "mark 250")
    assert store.get_open_positions()[0].unrealized_pnl == 150
    tell(other, "fill sell 300 1.5")
    assert store.get_open_positions() == []
    again = store.record_fill("BTC/USDT:USDT", "sell", 300, 1).position
    assert again is not None
    assert again.side == "SHORT"
    assert again.position_id != result.position.position_id


def test_a_mark_reaches_a_position_that_another_process_opened(
    store: HybridStore, other: subprocess.Popen[str]
) -> None:
    assert store.record_mark("ETH/USDT:USDT", mark=90) == 0
    tell(other, "position p1")
    assert store.record_mark("ETH/USDT:USDT", mark=110) == 1
    tell(other, "close p1 120")
    assert store.record_mark("ETH/USDT:USDT", mark=130) == 0
    closed = store.get_position("p1")
    assert closed is not None
    assert (closed.status, closed.realized_pnl, closed.max_favourable) == ("CLOSED", Decimal(20), Decimal(10))


def test_the_clock_counts_the_commits_of_all_processes(
    store: HybridStore, other: subprocess.Popen[str]
) -> None:
    first = commit_seq(store)
    times = []
    for number in range(10):
        if number % 2:
            tell(other, f"balance BTC {number}")
        else:
            store.record_balance_update("BTC", number)
        seq, ts = rows(store, "SELECT seq, ts FROM commit_clock")[0]
        assert seq == first + number + 1
        times.append(ts)
    assert times == sorted(set(times))


def test_two_processes_at_full_speed_lose_nothing_and_stay_consistent(root: Path) -> None:
    count = 150
    with HybridStore(root) as store:
        before = commit_seq(store)
        children = [start(RACE, root, name, count) for name in ("ONE", "TWO")]
        for child in children:
            hear(child, "ready")
        for child in children:
            say(child, "go")
        for number in range(count):
            store.record_balance_update("SHARED", number)
        for child in children:
            finish(child)
        assert commit_seq(store) == before + 5 * count
        shared = rows(store, "SELECT balance, change FROM balance_history WHERE asset = 'SHARED' ORDER BY id")
        assert len(shared) == 3 * count
        for (previous, _), (balance, change) in pairwise(shared):
            assert int(change) == int(balance) - int(previous)
        for name in ("ONE", "TWO"):
            found = store.get_latest_balance(name)
            assert found is not None
            assert found.balance == count - 1
        recorded = [row[0] for row in rows(store, "SELECT recorded_at FROM balance_history ORDER BY id")]
        assert recorded == sorted(recorded)


def test_processes_may_create_a_store_at_the_same_moment(root: Path) -> None:
    children = [start(CREATE, root, f"A{number}") for number in range(4)]
    for child in children:
        hear(child, "ready")
    for child in children:
        say(child, "go")
    for child in children:
        finish(child)
    with HybridStore(root) as store:
        assert [balance.asset for balance in store.get_all_balances()] == ["A0", "A1", "A2", "A3"]
        assert rows(store, "SELECT version, name, backup FROM schema_history") == [(1, "created", None)]


def test_two_stores_of_one_process(root: Path) -> None:
    with HybridStore(root) as one, HybridStore(root) as two:
        one.record_balance_update("BTC", 1)
        two.record_balance_update("BTC", 3)
        one.record_balance_update("BTC", 6)
        assert rows(two, "SELECT change FROM balance_history ORDER BY id") == [(None,), ("2",), ("3",)]


# -- waiting for the lock -----------------------------------------------------------------------------------------


def test_a_writer_waits_for_another_process(store: HybridStore) -> None:
    child = start(HOLD, store.database.path)
    hear(child, "held")
    future = store.database.writer.submit(None, lambda session: session.seq)
    time.sleep(0.2)
    assert not future.done()
    assert store.get_latest_balance("BTC") is None, "readers do not wait"
    say(child, "go")
    assert future.result(10) == commit_seq(store)
    finish(child)


def test_waiting_too_long_is_busy_and_writes_nothing(root: Path) -> None:
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME), busy_timeout_ms=150)
    with HybridStore(config=config) as store:
        store.record_balance_update("BTC", 1)
        before = contents(store)
        child = start(HOLD, store.database.path)
        hear(child, "held")
        begun = time.monotonic()
        with pytest.raises(StoreBusy) as caught:
            store.record_balance_update("BTC", 2)
        assert time.monotonic() - begun > 0.1
        assert caught.value.retryable
        assert caught.value.path == str(store.database.path)
        assert "busy_timeout_ms" in str(caught.value)
        assert contents(store) == before
        with HybridStore(config=config) as second:  # opening needs no lock
            assert second.get_latest_balance("BTC") is not None
        say(child, "go")
        finish(child)
        assert store.record_balance_update("BTC", 4).balance == 4
        assert rows(store, "SELECT change FROM balance_history ORDER BY id") == [(None,), ("3",)]


def test_what_a_dead_process_acknowledged_is_there(root: Path) -> None:
    child = start(DIE, root)
    child.communicate(timeout=60)
    assert child.returncode == 9
    with HybridStore(root) as store:
        assert rows(store, "SELECT count(*), max(CAST(balance AS INTEGER)) FROM balance_history") == [
            (20, 19)
        ]
        store.record_balance_update("BTC", 21)
        assert rows(store, "SELECT change FROM balance_history ORDER BY id DESC LIMIT 1") == [("2",)]
        position = store.close_position("p", 90)
        assert position.realized_pnl == 5


def test_a_shell_of_another_process_may_read(store: HybridStore) -> None:
    store.record_balance_update("BTC", "1.5")
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "print(c.execute('SELECT balance FROM balances').fetchall()); c.close()"
    )
    assert run(script, store.database.path) == "[('1.5',)]\n"
    assert store.record_balance_update("BTC", 2).balance == 2
