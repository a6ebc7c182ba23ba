"""Stores of one account that did a bit of everything, and ways to damage a figure behind the store's back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import apsw
import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.config import DATABASE_NAME
from hybridstore.store import HybridStore

NOW_US = 20_600 * DAY_US
FIRST_US = NOW_US - 20 * DAY_US
LAST_PLACE = Decimal("0.000000000000000001")


def tell_everything(store: HybridStore) -> None:
    """Record fills of every kind of market, late, corrected, voided and by hand, and all other kinds of entries."""

    def at(days: float) -> int:
        return FIRST_US + int(days * DAY_US)

    store.record_ledger_entries(
        [
            ("default", "d1", "deposit", "USDT", 100_000, None, at(0)),
            ("default", "d2", "deposit", "BTC", "1.5", None, at(0)),
            ("default", "i1", "interest", "USDT", "-0.25", None, at(1)),
            ("default", "w1", "withdrawal", "BTC", "-0.1", None, at(2)),
        ]
    )
    fills: tuple[tuple[str, str, str, str, float, list[tuple[str, str]]], ...] = (
        ("BTC/USDT", "buy", "50000.5", "0.3", 0.1, [("BTC", "0.0003")]),
        ("BTC/USDT", "buy", "51000", "0.1", 0.2, [("USDT", "5.1"), ("BNB", "0.001")]),
        ("BTC/USDT", "sell", "52000.1", "0.15", 0.3, [("USDT", "-0.78")]),
        ("BTC/USDT", "sell", "52000", "0.4", 0.4, []),  # more than the position has
        ("BTC/USDT", "buy", "49000", "0.2", 12.1, [("BTC", "-0.00002")]),
        ("BTC/USDT:USDT", "buy", "50000", "3", 0.5, [("USDT", "3")]),
        ("BTC/USDT:USDT", "sell", "50777.7", "5", 13.1, [("BNB", "0.01")]),  # turns it
        ("BTC/USD:BTC", "sell", "50000", "7", 0.6, [("BTC", "0.00001")]),
        ("BTC/USD:BTC", "buy", "49001", "3", 14.1, []),
        ("ETH/BTC", "buy", "0.061234", "2.5", 14.2, [("ETH", "0.0025"), ("BTC", "0.0001")]),
    )
    for number, (symbol, side, price, amount, days, fees) in enumerate(fills):
        store.record_fill(
            symbol, side, price, amount, trade_id=f"t{number}", order_id="o", fees=fees, executed_at=at(days)
        )
    store.record_funding("BTC/USDT:USDT", "-0.125", occurred_at=at(13.5))
    store.record_fill("BTC/USDT", "buy", "51000", "0.11", trade_id="t1", order_id="o", fees=[("USDT", "5.2")])
    store.record_fill("ETH/BTC", "buy", "0.06", "9", trade_id="gone", order_id="o", executed_at=at(14.3))
    store.void_fill("ETH/BTC", "gone", "o")
    store.create_position("hand", "SOL/USDT", "LONG", "10", "150")
    store.close_position("hand", "151")
    store.create_position("kept", "SOL/USDT", "LONG", "4", "149.5")


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a closed store that holds everything, some of it archived."""
    folder = tmp_path_factory.mktemp("told") / "store"
    with HybridStore(folder, clock=ManualClock(NOW_US)) as store:
        tell_everything(store)
        assert store.retention.run().rows
        store.record_mark("BTC/USDT", mark="50000")
    return folder


@pytest.fixture
def reopen(told: Path) -> Callable[[], HybridStore]:
    """Open the store that holds everything; tests leave it as they found it."""
    return lambda: HybridStore(told, clock=ManualClock(NOW_US))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HybridStore]:
    """Return an open, empty store."""
    with HybridStore(tmp_path / "store", clock=ManualClock(NOW_US)) as opened:
        yield opened


def write_figure(folder: Path, statement: str, *values: object) -> None:
    """Change a stored row behind the store's back, while no process has it open."""
    connection = apsw.Connection(str(folder / DATABASE_NAME))
    try:
        connection.execute(statement, values)
    finally:
        connection.close()


def read_figures(folder: Path, question: str) -> list[tuple[object, ...]]:
    """Read stored rows likewise."""
    connection = apsw.Connection(str(folder / DATABASE_NAME))
    try:
        return list(connection.execute(question))
    finally:
        connection.close()
