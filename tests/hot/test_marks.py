"""Marks: which of them count for a position, and what it is worth by them."""

from __future__ import annotations

from decimal import Decimal

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.hot.position_rows import Position
from hybridstore.store import HybridStore
from tests.hot.books import START_US, values

PERP = "BTC/USDT:USDT"


def position(store: HybridStore, position_id: str) -> Position:
    found = store.get_position(position_id)
    assert found is not None
    return found


def test_a_mark_of_before_the_position_does_not_count_for_it(store: HybridStore, clock: ManualClock) -> None:
    store.create_position("p", PERP, "LONG", 1, 100, opened_at=START_US)
    assert store.record_mark(PERP, mark=1, marked_at=START_US - DAY_US) == 0
    held = position(store, "p")
    assert (held.mark_price, held.updated_at) == (None, held.opened_at)
    assert store.record_mark(PERP, mark=90, marked_at=START_US + 10) == 1
    store.record_fill(PERP, "buy", 100, 9, executed_at=START_US + 30)
    assert store.record_mark(PERP, mark=80, marked_at=START_US + 20) == 0, "ten were not held yet"
    assert store.record_mark(PERP, mark=99, marked_at=START_US + 40) == 1
    assert values(position(store, "p").max_adverse) == (-10,)


def test_a_summary_takes_the_later_of_the_markets_and_the_positions_mark(
    store: HybridStore, clock: ManualClock
) -> None:
    store.create_position("p", PERP, "LONG", 1, 100)
    store.record_mark(PERP, mark=120)
    assert store.get_portfolio_summary().unrealized_pnl == 20
    clock.advance(1_000_000)
    store.update_position_price("p", 110)
    assert store.get_portfolio_summary().unrealized_pnl == 10
    clock.advance(1_000_000)
    store.record_mark(PERP, mark=130)
    assert store.get_portfolio_summary().unrealized_pnl == 30


def test_a_position_that_outgrows_its_columns_keeps_no_other_from_its_mark(store: HybridStore) -> None:
    store.create_position("vast", "PEPE/USDT", "LONG", "9" * 20, "0.000001")
    store.create_position("p", PERP, "LONG", 1, 100)
    assert store.record_marks([{"symbol": "PEPE/USDT", "last": 2}, {"symbol": PERP, "last": 90}]) == 2
    assert values(position(store, "p").max_adverse, position(store, "vast").max_favourable) == (-10, 0)
    vast = position(store, "vast")
    assert vast.mark_price == 2
    assert vast.unrealized_pnl == Decimal("199999899999999999998.000001")
    assert store.update_position_price("vast", 3).mark_price == 3
