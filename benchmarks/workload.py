"""What is written: balances for both sides, market trades to move, and the raw side's connection and rows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw

from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import READ_CLOCK, WRITE_CLOCK, WriteSession
from hybridstore.schema.registry import Registry
from hybridstore.store import HybridStore

SEED = 20_260_801
START_S = 1_785_542_400.0
"""2026-08-01, the time of the first update."""
ACCOUNT = "default"
BalanceTuple = tuple[str, Decimal, Decimal, str, str | None, float, str, None, None, str | None]
"""The tuple of ``batch_update_balances``: asset, balance, hold, source, reason, timestamp, readable, change,
percentage, status."""
StoredRow = tuple[Any, ...]
_HISTORY = (
    "SELECT account, asset, balance, hold_trade, available, debt, told, change, change_percentage, reason, source, "
    "sync_status, reported, changed_at, exchange_at, recorded_at FROM balance_history ORDER BY id"
)
_BALANCES = (
    "SELECT account, asset, balance, hold_trade, available, debt, told, source FROM balances ORDER BY 1, 2"
)
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
_CHUNK_ROWS = 20_000
_CACHE_KIB = 128 * 1024


class StoredUpdate(NamedTuple):
    """What one balance update is in the tables.

    Attributes:
        history: Parameters of ``insert_balance_history``.
        latest: Parameters of ``upsert_balances``.
    """

    history: StoredRow
    latest: StoredRow


def asset_name(number: int) -> str:
    """Return the name of an asset."""
    return f"C{number:03d}"


def balance_tuples(
    count: int, assets: int, *, round_number: int = 0, bare: bool = False
) -> list[BalanceTuple]:
    """Return balance updates as a bot reports them: 8 places, most of them holding something for orders.

    Args:
        count: How many.
        assets: Over how many assets, in turns.
        round_number: Later rounds have the same figures at later times.
        bare: Without reason and status, as ``record_balance_update`` is mostly called.

    Returns:
        The updates, in the order of their time.
    """
    random = Random(SEED)
    begun_s = START_S + round_number * count / 1000
    reason, status = (None, None) if bare else ("trade", "synced")
    rows: list[BalanceTuple] = []
    for number in range(count):
        balance = Decimal(random.randrange(1, 10**13)).scaleb(-8)
        hold = Decimal(random.randrange(10**7)).scaleb(-8) if number % 3 else Decimal(0)
        at_s = begun_s + number / 1000
        readable = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_s))
        asset = asset_name(number % assets)
        rows.append((asset, balance, hold, "websocket", reason, at_s, readable, None, None, status))
    return rows


def written_columns() -> dict[str, list[str]]:
    """Return the columns that a balance update writes, by table, in the order of the statements' parameters."""
    datasets = Registry()
    return {name: list(datasets[name].column_names) for name in ("balance_history", "balances")}


def record_market_trades(database: DatabaseManager, count: int, days: int, first_id: int = 0) -> None:
    """Fill an open store with trades of a market, as many in every day, all of them before :data:`START_S`.

    They go straight to the store's own insert statement: taking each through the door would be most of a long run.

    Args:
        database: The open store.
        count: How many.
        days: Over how many UTC days.
        first_id: Number of the first one: those of one call are known in the next.
    """
    random = Random(SEED)
    first_us = int(START_S) * SECOND_US - days * DAY_US

    def insert(session: WriteSession, first: int, end: int) -> None:
        rows = [
            (
                SYMBOLS[number % len(SYMBOLS)],
                first_id + number,
                6_000_000_000_000 + random.randrange(10_000) * 1_000_000,
                random.randrange(1, 10_000) * 10_000,
                "buy" if random.random() < 0.5 else "sell",
                first_us + number * days * DAY_US // count,
                session.ts_us,
            )
            for number in range(first, end)
        ]
        session.executemany(session.sql["insert_market_trades"], rows)

    for first in range(0, count, _CHUNK_ROWS):
        database.writer.call(insert, first, min(first + _CHUNK_ROWS, count), durability="normal")


def create_store(root: Path, rows: Iterable[BalanceTuple] = ()) -> DatabaseManager:
    """Create a store with balances in it, and close it.

    Args:
        root: Its folder.
        rows: The balances.

    Returns:
        Its closed database: path and statements.
    """
    with HybridStore(root) as store:
        store.batch_update_balances(rows)
    return store.database


def stored_updates(root: Path, rows: Iterable[BalanceTuple]) -> list[StoredUpdate]:
    """Return what a store writes for balance updates, by letting one write them.

    Args:
        root: A new folder.
        rows: The balances.

    Returns:
        Parameters of its statements, in order.
    """
    database = create_store(root, rows)
    connection = open_raw(database.path)
    try:
        return [_update(row) for row in connection.execute(_HISTORY).fetchall()]
    finally:
        connection.close()


def _update(row: StoredRow) -> StoredUpdate:
    (
        account,
        asset,
        balance,
        hold,
        available,
        debt,
        told,
        _,
        _,
        _,
        source,
        _,
        _,
        changed_us,
        _,
        recorded_us,
    ) = row
    return StoredUpdate(
        row, (account, asset, balance, hold, available, debt, told, source, changed_us, recorded_us)
    )


def open_raw(path: Path) -> apsw.Connection:
    """Open a database as one would who uses apsw alone and knows it well: nothing of ours, nothing slow.

    Args:
        path: The database.

    Returns:
        A connection with write-ahead log, full durability, a large cache, no checkpoint inside a commit, and plans that
        do not depend on what is bound.
    """
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.execute(
        f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -{_CACHE_KIB}"
    )
    connection.wal_autocheckpoint(0)
    return connection


class RawWriter:
    """The store's statements on a bare apsw connection.

    Args:
        database: A closed store's database.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self.connection = open_raw(database.path)
        self._insert = database.statements["insert_balance_history"]
        self._upsert = database.statements["upsert_balances"]

    def write_one(self, update: StoredUpdate) -> None:
        """Write one update in a transaction of its own: the statements that the store runs, the clock included."""
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        clock: StoredRow = execute(READ_CLOCK).fetchall()[0]
        seq, ts_us = clock
        execute(self._insert, update.history)
        execute(self._upsert, update.latest)
        execute(WRITE_CLOCK, (seq + 1, max(ts_us + 1, time.time_ns() // 1000)))
        execute("COMMIT")

    def write_all(self, updates: Iterable[StoredUpdate]) -> None:
        """Write updates row by row in one transaction."""
        execute, insert, upsert = self.connection.execute, self._insert, self._upsert
        execute("BEGIN IMMEDIATE")
        for history, latest in updates:
            execute(insert, history)
            execute(upsert, latest)
        execute("COMMIT")

    def checkpoint(self) -> None:
        """Copy the log back, as the store's housekeeping does beside its commits; between rounds, not in them."""
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def log_size_bytes(path: Path) -> int:
    """Return the size of a database's write-ahead log.

    Args:
        path: The database, open.

    Returns:
        Bytes; 0 where there is none yet.
    """
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


def balances_in(path: Path) -> tuple[int, list[StoredRow]]:
    """Return what a database holds, to see that two sides did the same work.

    Args:
        path: The database.

    Returns:
        Number of history rows; the latest balance of every asset without its times.
    """
    connection = open_raw(path)
    try:
        counted: StoredRow = connection.execute("SELECT count(*) FROM balance_history").fetchall()[0]
        return counted[0], connection.execute(_BALANCES).fetchall()
    finally:
        connection.close()
