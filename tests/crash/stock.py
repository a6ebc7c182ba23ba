"""A store with a known content: some of it old enough to move, all of it known row by row."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.schema_manager import SchemaManager
from hybridstore.schema.books import BALANCE_HISTORY, LEDGER
from hybridstore.schema.market import MARKET_TRADES
from hybridstore.schema.types import LogicalType, money_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hybridstore.hot.session import WriteSession
    from hybridstore.schema.dataset import Column, Dataset

NOW_US = 20_600 * DAY_US + DAY_US // 3
"""The moment every mover of these suites believes it is (2026-05-27, 08:00 UTC)."""
DATASETS: tuple[Dataset, ...] = (BALANCE_HISTORY, MARKET_TRADES, LEDGER)
CORRECTIONS = 6
"""Archived ledger entries that a mover of these suites corrects once everything is moved."""
_OLD_DAYS = (20_551, 20_560, 20_561)
"""Days that are past the hot window, with gaps between them."""
_YOUNG_DAYS = (20_598, 20_600)
_ASSETS = ("BTC", "ETH", "USDT")
_SYMBOLS = ("BTC/USDT", "ETH/USDT:USDT")
Row = tuple[Any, ...]
Rows = dict[str, dict[int, Row]]
"""By dataset and row number: the declared columns in order, money and ticks as Decimal, times as us UTC."""


def store_config(root: Path, vfs: str | None = None) -> DatabaseConfig:
    """Return the settings these suites open a store with.

    Args:
        root: The store's folder.
        vfs: The SQLite VFS to open it with.

    Returns:
        Settings without a reserve file: it would only slow down the copying of stores.
    """
    return DatabaseConfig(database_path=str(root / DATABASE_NAME), reserve_mb=0, vfs=vfs)


def stock_rows(seed: int, rows_a_day: int) -> Rows:
    """Return the content of a stock. All days are mixed, so that the row numbers of one day have gaps.

    Args:
        seed: Decides values and order.
        rows_a_day: Rows of each dataset on each day.

    Returns:
        What every snapshot of the store must show, whatever is moved.
    """
    rng = random.Random(seed)
    rows: Rows = {}
    for dataset, make in _MAKERS:
        times = [
            day * DAY_US + rng.randrange(DAY_US) for day in _OLD_DAYS + _YOUNG_DAYS for _ in range(rows_a_day)
        ]
        # The first and last microsecond of a day belong to it: where a wider delete shows first.
        times += [day * DAY_US + edge for day in _OLD_DAYS for edge in (0, DAY_US - 1)]
        rng.shuffle(times)
        rows[dataset.name] = {number: make(rng, number, ts_us) for number, ts_us in enumerate(times, start=1)}
    return rows


def corrections(expected: Rows) -> list[tuple[int, Row]]:
    """Return which ledger entries are corrected, in this order, and how.

    Args:
        expected: From :func:`stock_rows`.

    Returns:
        Row number of the entry, and the declared columns as they shall be.
    """
    old = old_ids(expected, LEDGER)
    place = LEDGER.column_names.index("amount")
    chosen = old[:: len(old) // CORRECTIONS][:CORRECTIONS]
    found = [(number, expected[LEDGER.name][number]) for number in chosen]
    return [(number, (*row[:place], row[place] + 1, *row[place + 1 :])) for number, row in found]


def corrected(expected: Rows, found: Rows) -> Rows:
    """Return the content of a stock after as many corrections as a snapshot shows.

    An archived row is never changed: its correction is a row with a new number, and the old one no longer counts.

    Args:
        expected: From :func:`stock_rows`.
        found: What the snapshot shows.

    Returns:
        What it must show.
    """
    shown = found[LEDGER.name]
    rows = dict(expected[LEDGER.name])
    last = max(rows)
    place = LEDGER.column_names.index("recorded_at")
    for new, (old, row) in enumerate(corrections(expected), start=last + 1):
        if new in shown:
            del rows[old]
            rows[new] = (*row[:place], shown[new][place], *row[place + 1 :])
    return {**expected, LEDGER.name: rows}


def count_corrections(expected: Rows, found: Rows) -> int:
    """Return how many corrections a snapshot shows."""
    return len([number for number in found[LEDGER.name] if number > max(expected[LEDGER.name])])


def create_stock(root: Path, rows: Rows) -> None:
    """Create a store with a known content.

    Args:
        root: The store's folder; it is created.
        rows: From :func:`stock_rows`.
    """
    database = DatabaseManager(store_config(root), clock=ManualClock(NOW_US))
    database.open()
    SchemaManager(database).initialize()
    for dataset in DATASETS:
        database.writer.call(_insert, dataset, list(rows[dataset.name].values()))
    database.shutdown()


def old_ids(expected: Rows, dataset: Dataset) -> list[int]:
    """Return the row numbers that a mover takes out of the hot store.

    Args:
        expected: From :func:`stock_rows`.
        dataset: Of which dataset.

    Returns:
        Row numbers, ascending.
    """
    assert dataset.tiering is not None
    place = dataset.column_names.index(dataset.tiering.time)
    return [number for number, row in expected[dataset.name].items() if row[place] // DAY_US in _OLD_DAYS]


def _insert(session: WriteSession, dataset: Dataset, rows: list[Row]) -> None:
    stored = [tuple(map(_stored, dataset.columns, row)) for row in rows]
    session.executemany(session.sql[f"insert_{dataset.name}"], stored)


def _stored(column: Column, value: object) -> object:
    if isinstance(value, Decimal):
        return money_text(value, column.name) if column.type is LogicalType.MONEY else int(value.scaleb(8))
    return value


def _balance(rng: random.Random, number: int, ts_us: int) -> Row:
    total = Decimal(rng.randrange(10**30)).scaleb(-rng.randrange(15, 19))
    hold = Decimal(rng.randrange(10**6)).scaleb(-3)
    values: Mapping[str, Any] = {
        "account": f"exchange/{number % 2}",
        "asset": rng.choice(_ASSETS),
        "balance": total,
        "hold_trade": hold,
        "available": total - hold,
        "told": "total used",
        "change": None if number == 1 else Decimal(rng.randrange(-(10**9), 10**9)).scaleb(-18),
        "reason": rng.choice((None, "fill", "deposit, with a comma\nand a second line")),
        "source": f"row {number}",
        "changed_at": ts_us,
        "recorded_at": NOW_US + number,
    }
    return tuple(values.get(name) for name in BALANCE_HISTORY.column_names)


def _market_trade(rng: random.Random, number: int, ts_us: int) -> Row:
    values: Mapping[str, Any] = {
        "symbol": rng.choice(_SYMBOLS),
        "trade_id": 10**9 + number,
        "price": Decimal(rng.randrange(1, 10**13)).scaleb(-8),
        "amount": Decimal(rng.randrange(1, 10**10)).scaleb(-8),
        "side": rng.choice(("buy", "sell")),
        "traded_at": ts_us,
        "recorded_at": NOW_US + number,
    }
    return tuple(values.get(name) for name in MARKET_TRADES.column_names)


def _ledger_entry(rng: random.Random, number: int, ts_us: int) -> Row:
    values: Mapping[str, Any] = {
        "account": f"exchange/{number % 2}",
        "entry_id": f"entry {number}",
        "type": rng.choice(("deposit", "funding")),
        "asset": rng.choice(_ASSETS),
        "amount": Decimal(rng.randrange(1, 10**12)).scaleb(-6),
        "reference": rng.choice((None, "a transfer")),
        "occurred_at": ts_us,
        "recorded_at": NOW_US + number,
    }
    return tuple(values.get(name) for name in LEDGER.column_names)


_MAKERS: tuple[tuple[Dataset, Callable[[random.Random, int, int], Row]], ...] = (
    (BALANCE_HISTORY, _balance),
    (MARKET_TRADES, _market_trade),
    (LEDGER, _ledger_entry),
)
