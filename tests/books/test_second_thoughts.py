"""Corrections that random lives found to go wrong, each as short as it can be told."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import InvalidValue
from hybridstore.store import HybridStore
from tests.books.telling import new_clock
from tests.hot.books import rows, values

SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"


@pytest.fixture
def clock() -> ManualClock:
    return new_clock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[HybridStore]:
    with HybridStore(tmp_path / "root", clock=clock) as opened:
        yield opened


def held(store: HybridStore, asset: str) -> Decimal:
    return Decimal(rows(store, "SELECT amount FROM ledger_balances WHERE asset = ?", (asset,))[0][0])


def test_a_fill_moved_out_of_an_archived_day_is_corrected_again(
    store: HybridStore, clock: ManualClock
) -> None:
    at_us = clock.now_us()
    store.record_fill(SPOT, "buy", 100, 1, trade_id="t", executed_at=at_us)
    clock.advance(20 * DAY_US)
    assert store.retention.run().rows
    for price in (110, 120):
        store.record_fill(SPOT, "buy", price, 1, trade_id="t", executed_at=at_us - DAY_US)
    (position,) = store.get_open_positions()
    assert values(position.amount, position.entry_cost) == (1, 120)
    assert store.books.prove().holds


def test_one_side_of_a_hedge_is_voided_when_nothing_is_open(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="a", position_side="LONG")
    store.record_fill(PERP, "sell", 110, 1, trade_id="b", position_side="LONG")
    store.void_fill(PERP, "a")
    assert store.get_open_positions() == [], "no short is opened by taking a long back"
    assert store.books.prove().holds


def test_a_flip_that_never_was_leaves_what_it_closed(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="a")
    store.record_fill(PERP, "sell", 110, 3, trade_id="b")
    store.void_fill(PERP, "b")
    (position,) = store.get_open_positions()
    assert values(position.side, position.amount, position.entry_cost) == ("LONG", 1, 100)
    assert rows(store, "SELECT realized_pnl FROM trades WHERE trade_id = 'b'") == [("0",)]
    assert store.books.prove().holds


def test_funding_told_again_without_its_moment_is_known(store: HybridStore, clock: ManualClock) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="a")
    for repeated in (False, True):
        assert store.record_funding(PERP, -5, funding_id="x").repeated is repeated
        clock.advance(DAY_US)
    assert held(store, "USDT") == -5


def test_funding_is_taken_back_where_it_counts(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="a")
    entry_id = store.record_funding(PERP, -5, funding_id="x").entry_id
    with pytest.raises(InvalidValue, match="funding"):
        store.void_ledger_entry(entry_id)
    assert store.record_funding(PERP, 0, funding_id="x").corrected
    (position,) = store.get_open_positions()
    assert values(position.funding, held(store, "USDT")) == (0, 0)


@pytest.mark.parametrize(("first", "then", "counted"), [("BNB", "USDT", -5), ("USDT", "BNB", 0)])
def test_funding_of_another_asset_is_none_of_the_position(
    store: HybridStore, first: str, then: str, counted: int
) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="a")
    for asset in (first, then):
        store.record_funding(PERP, -5, funding_id="x", asset=asset)
    (position,) = store.get_open_positions()
    assert position.funding == counted
    assert values(held(store, first), held(store, then)) == (0, -5)


def test_no_entry_by_hand_takes_the_name_of_a_leg(store: HybridStore, clock: ManualClock) -> None:
    row = ("default", f"{SPOT}|t|-|base", "deposit", "BTC", 5, None, clock.now_us())
    with pytest.raises(InvalidValue, match="entry_id"):
        store.record_ledger_entries([row])
    store.record_fill(SPOT, "buy", 100, 1, trade_id="t")
    assert held(store, "BTC") == 1


def test_a_channel_that_knows_of_no_liquidation_does_not_take_it_back(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 2, trade_id="a", executed_at=1_785_500_000_000_000)
    for forced in (True, False):
        told = store.record_fill(
            PERP, "sell", 80, 2, trade_id="l", liquidation=forced, executed_at=1_785_500_000_000_001
        )
        assert told.repeated is not forced
    assert rows(store, "SELECT liquidation FROM trades WHERE trade_id = 'l'") == [(1,)]
    assert rows(store, "SELECT close_reason FROM positions") == [("liquidation",)]


def test_an_average_is_written_as_people_write_it(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1)
    increased = store.record_fill(PERP, "buy", 100, 1).position
    assert increased is not None
    assert str(increased.entry_price) == "100"
