"""Funding, hedge mode, liquidations and terms of positions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import InvalidValue, NotFound
from hybridstore.store import HybridStore
from tests.hot.books import START_US, contents, rows, values

PERP, OTHER = "BTC/USDT:USDT", "ETH/USDT:USDT"


def test_funding_of_two_symbols_at_one_instant_are_two(store: HybridStore) -> None:
    for symbol in (PERP, OTHER):
        store.record_fill(symbol, "buy", 100, 1)
    first = store.record_funding(PERP, "-1.5", occurred_at=START_US)
    second = store.record_funding(OTHER, "-1.5", occurred_at=START_US)
    assert first.entry_id != second.entry_id
    assert first.position is not None
    assert (first.position.symbol, first.position.funding) == (PERP, Decimal("-1.5"))
    assert rows(store, "SELECT amount FROM ledger_balances WHERE asset = 'USDT'") == [("-3",)]
    assert rows(store, "SELECT funding FROM portfolio_hourly") == [("-3",)]
    assert rows(store, "SELECT reference FROM ledger WHERE entry_id = ?", (first.entry_id,)) == [
        (first.position.position_id,)
    ]


@pytest.mark.parametrize("age_days", [0, 30])
def test_funding_told_again_is_known_and_corrected(
    store: HybridStore, clock: ManualClock, age_days: int
) -> None:
    store.record_fill(PERP, "sell", 100, 1)
    store.record_funding(PERP, 2, funding_id="f-1", occurred_at=START_US)
    clock.advance(age_days * DAY_US)
    store.retention.run()
    before = contents(store)["ledger_balances"]
    assert store.record_funding(PERP, "2.0", funding_id="f-1", occurred_at=START_US).repeated
    assert contents(store)["ledger_balances"] == before
    result = store.record_funding(PERP, 3, funding_id="f-1", occurred_at=START_US)
    assert (result.corrected, result.repeated) == (True, False)
    (position,) = store.get_open_positions()
    assert position.funding == 3
    assert rows(store, "SELECT amount, entries FROM ledger_balances") == [("3", 1)]
    assert rows(store, "SELECT sum(funding) FROM portfolio_daily") == [(3,)]
    assert store.record_funding(PERP, 2, funding_id="f-1", occurred_at=START_US).repeated, "an old version"


def test_funding_without_a_position_or_in_another_asset_counts_in_the_ledger(store: HybridStore) -> None:
    assert store.record_funding(PERP, 1).position is None
    store.record_fill(PERP, "buy", 100, 1)
    assert store.record_funding(PERP, 1, asset="BNB").position is None
    assert rows(store, "SELECT asset, amount FROM ledger_balances ORDER BY asset") == [
        ("BNB", "1"),
        ("USDT", "1"),
    ]
    assert store.get_open_positions()[0].funding == 0


def test_each_side_of_a_hedge_is_its_own(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 2, position_side="LONG")
    store.record_fill(PERP, "sell", 110, 3, position_side="SHORT")
    sold = store.record_fill(PERP, "sell", 120, 1, position_side="LONG")
    assert sold.trade.realized_pnl == 20
    bought = store.record_fill(PERP, "buy", 90, 5, position_side="SHORT")
    assert bought.position is not None
    assert values(bought.position.status, bought.trade.realized_pnl) == ("CLOSED", 60), "and flips nothing"
    (long,) = store.get_open_positions()
    assert values(long.side, long.amount) == ("LONG", 1)
    nothing = store.record_fill(PERP, "buy", 90, 1, position_side="SHORT")
    assert (nothing.position, nothing.trade.realized_pnl) == (None, None)
    assert store.record_funding(PERP, 1, position_side="LONG").position is not None


def test_with_both_sides_open_a_fill_says_which(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, position_side="LONG")
    short = store.record_fill(PERP, "sell", 100, 1, position_side="SHORT").position
    assert short is not None
    before = contents(store)
    with pytest.raises(InvalidValue, match=r"2 open positions on BTC/USDT:USDT.*position_side="):
        store.record_fill(PERP, "buy", 100, 1)
    with pytest.raises(InvalidValue, match="is SHORT, not LONG"):
        store.record_fill(PERP, "buy", 100, 1, position_id=short.position_id, position_side="LONG")
    assert contents(store) == before


def test_a_liquidation_is_told_by_its_event_and_its_close(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 2, trade_id="1")
    position = store.record_fill(PERP, "sell", 60, 2, trade_id="2", liquidation=True).position
    assert position is not None
    assert values(position.close_reason, position.realized_pnl) == ("liquidation", -80)
    assert rows(store, "SELECT kind, trade_id FROM position_events ORDER BY seq") == [
        ("open", "1"),
        ("liquidate", "2"),
    ]


def test_terms_of_a_position_change_with_an_event(store: HybridStore) -> None:
    store.create_position("p", PERP, "LONG", 1, 100, leverage=5)
    position = store.adjust_position("p", leverage="10", liquidation_price=None, margin_mode="isolated")
    assert values(position.leverage, position.margin_mode, position.liquidation_price) == (
        10,
        "isolated",
        None,
    )
    assert store.adjust_position("p", leverage=10) == position, "what is so already is no event"
    assert rows(store, "SELECT kind, amount_delta, price FROM position_events ORDER BY seq") == [
        ("open", "1", "100"),
        ("adjust", "0", None),
    ]
    assert store.get_position("p") == position


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "no term to change"),
        ({"amount": 1}, "amount is no term of a position"),
        ({"leverage": 1.5}, "leverage=1.5: a float is not exact"),
        ({"margin_mode": "both"}, "margin_mode='both'"),
    ],
)
def test_bad_terms_are_refused(store: HybridStore, terms: dict[str, Any], message: str) -> None:
    store.create_position("p", PERP, "LONG", 1, 100)
    with pytest.raises(InvalidValue, match=message):
        store.adjust_position("p", **terms)


@pytest.mark.parametrize(
    ("symbol", "details", "message"),
    [
        ("BTC/USDT", {}, "funding is paid on contracts"),
        (PERP, {"position_side": "BOTH"}, "position_side='BOTH'"),
        (PERP, {"amount": 0.5}, "amount=0.5: a float is not exact"),
        (PERP, {"occurred_at": "2026-01-01"}, "occurred_at="),
        (PERP, {"funding_id": ""}, "funding_id=''"),
    ],
)
def test_bad_funding_is_refused(
    store: HybridStore, symbol: str, details: dict[str, Any], message: str
) -> None:
    amount = details.pop("amount", 1)
    with pytest.raises(InvalidValue, match=message):
        store.record_funding(symbol, amount, **details)


@pytest.mark.parametrize(
    ("symbol", "details", "message"),
    [
        (PERP, {"inverse": True}, "its profit is in USDT"),
        ("BTC/USD:BTC", {"inverse": False}, "its profit is in BTC"),
        ("BTC/USDT", {"contract_size": 10}, "a spot market has no contracts"),
        ("BTC/USDT", {"position_side": "SHORT"}, "a spot market has no short positions"),
        (PERP, {"position_side": "long"}, "position_side='long'"),
    ],
)
def test_terms_that_contradict_the_symbol_are_refused(
    store: HybridStore, symbol: str, details: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        store.record_fill(symbol, "sell", 100, 1, **details)


def test_prices_of_many_markets_mark_all_their_positions(store: HybridStore) -> None:
    for symbol in (PERP, OTHER):
        store.record_fill(symbol, "buy", 100, 1)
    assert (
        store.update_prices({PERP: 110, OTHER: "90", "SOL/USDT": 20}, marked_at=START_US + DAY_US // 2) == 3
    )
    assert [one.unrealized_pnl for one in store.get_open_positions()] == [10, -10]
    assert store.update_prices({PERP: 120}, marked_at=START_US) == 0
    with pytest.raises(InvalidValue, match="row 1 of the marks"):
        store.update_prices({PERP: 110, OTHER: 0})
    with pytest.raises(NotFound):
        store.adjust_position("nobody", leverage=1)


def test_funding_told_again_without_its_moment_is_known(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1)
    first = store.record_funding(PERP, -5, funding_id="x")
    assert store.record_funding(PERP, -5, funding_id="x").repeated
    with pytest.raises(InvalidValue, match="take it back with an amount of 0"):
        store.void_ledger_entry(first.entry_id)
    assert store.record_funding(PERP, 0, funding_id="x").corrected
    assert store.get_open_positions()[0].funding == 0
    assert store.record_funding(PERP, -5, funding_id="x").repeated, "an old version"
    assert rows(store, "SELECT amount FROM ledger_balances") == [("0",)]


def test_funding_of_another_moment_or_asset_moves_on_the_position_too(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1)
    store.record_funding(PERP, -5, funding_id="x", asset="BNB", occurred_at=START_US)
    assert store.get_open_positions()[0].funding == 0
    store.record_funding(PERP, -5, funding_id="x", occurred_at=START_US)
    assert store.get_open_positions()[0].funding == -5
    store.record_funding(PERP, -6, funding_id="x", occurred_at=START_US - DAY_US)
    assert store.get_open_positions()[0].funding == -6
    events = "SELECT sum(funding_delta), occurred_at FROM position_events WHERE kind <> 'open' GROUP BY 2 ORDER BY 2"
    assert rows(store, events) == [(-6, START_US - DAY_US), (0, START_US)]
    assert store.books.prove().holds


def test_what_came_again_is_taken_back_again(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1)
    for amount in (-5, 0, -6, 0):
        store.record_funding(PERP, amount, funding_id="x", occurred_at=START_US)
        assert store.get_open_positions()[0].funding == amount
    entry = ("default", "d", "deposit", "USDT", 5, None, START_US)
    store.record_ledger_entries([entry])
    assert store.void_ledger_entry("d")
    store.record_ledger_entries([(*entry[:4], 6, None, START_US)])
    assert store.void_ledger_entry("d")
    assert rows(store, "SELECT amount FROM ledger_balances") == [("0",)]
