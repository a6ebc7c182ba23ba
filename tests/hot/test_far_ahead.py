"""Moments far ahead are refused: what is latest would stay so until then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue
from hybridstore.store import HybridStore
from tests.hot.books import START_US, contents

PERP = "BTC/USDT:USDT"
ORDER: dict[str, Any] = {
    "symbol": PERP,
    "order_id": "o",
    "side": "buy",
    "type": "limit",
    "status": "open",
    "amount": 1,
}
WRITES: dict[str, Callable[[HybridStore, int], object]] = {
    "changed_at": lambda store, at: store.record_balance_update("BTC", 1, changed_at=at),
    "marked_at": lambda store, at: store.record_mark(PERP, mark=1, marked_at=at),
    "updated_at": lambda store, at: store.record_order(**ORDER, updated_at=at),
    "executed_at": lambda store, at: store.record_fill(PERP, "buy", 1, 1, trade_id="t", executed_at=at),
    "opened_at": lambda store, at: store.create_position("p", PERP, "LONG", 1, 1, opened_at=at),
    "closed_at": lambda store, at: store.close_position("there", 1, closed_at=at),
}


@pytest.mark.parametrize("column", WRITES)
def test_a_moment_far_ahead_is_refused_and_named(store: HybridStore, column: str) -> None:
    store.create_position("there", "ETH/USDT:USDT", "LONG", 1, 1)
    before = contents(store)
    with pytest.raises(InvalidValue, match=rf"{column}=2026-08-0\d.*more than a day after now.*clock"):
        WRITES[column](store, START_US + DAY_US + 1_000_000)
    assert contents(store) == before
    WRITES[column](store, START_US + DAY_US)
    if column not in {"opened_at", "closed_at"}:  # of which there is one
        WRITES[column](store, START_US - 1000 * DAY_US)


def test_a_wrong_year_does_not_freeze_the_latest(store: HybridStore) -> None:
    store.record_balance_update("BTC", 1)
    with pytest.raises(InvalidValue, match="changed_at=2100"):
        store.record_balance_update("BTC", 1000, changed_at="2100-01-01T00:00:00Z")
    store.record_balance_update("BTC", 5)
    found = store.get_latest_balance("BTC")
    assert found is not None
    assert found.balance == 5
