"""Corrected and voided fills: position, ledger, what is held and sums agree with the fills as they stand."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from hybridstore.clock import DAY_US, ManualClock
from hybridstore.errors import InvalidValue, NotFound
from hybridstore.store import HybridStore
from tests.hot.books import START_US, contents, rows, values

PERP, SPOT, INVERSE = "BTC/USDT:USDT", "BTC/USDT", "BTC/USD:BTC"
_HOUR_US = DAY_US // 24


def held(store: HybridStore) -> dict[str, Decimal]:
    return {asset: Decimal(text) for asset, text in rows(store, "SELECT asset, amount FROM ledger_balances")}


def of_day(store: HybridStore, currency: str = "USDT") -> dict[str, Any]:
    names = ("realized", "funding", "fees", "volume", "net_flow", "other", "trade_count")
    found = rows(store, f"SELECT {', '.join(names)} FROM portfolio_daily WHERE currency = ?", (currency,))
    totals: dict[str, Any] = {
        name: sum(Decimal(row[place]) for row in found) for place, name in enumerate(names)
    }
    return totals


def test_an_open_position_is_as_if_told_so_at_first(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 2, trade_id="1", fee=1)
    store.record_fill(PERP, "buy", 110, 2, trade_id="2")
    position = store.record_fill(PERP, "buy", 90, 2, trade_id="1", fee="0.5").position
    assert position is not None
    assert values(position.amount, position.entry_price, position.entry_cost, position.fees) == (
        4, 100, 400, Decimal("0.5")
    )  # fmt: skip
    assert held(store) == {"USDT": Decimal("-0.5")}
    assert of_day(store)["volume"] == 400
    assert of_day(store)["fees"] == Decimal("0.5")
    assert of_day(store)["trade_count"] == 2


@pytest.mark.parametrize("forgets", [False, True])
def test_a_position_that_is_open_again_has_the_mark_of_now(store: HybridStore, forgets: bool) -> None:  # noqa: FBT001
    store.record_fill(PERP, "buy", 100, 3, trade_id="1")
    store.record_mark(PERP, mark=110)
    store.record_fill(PERP, "sell", 120, 3, trade_id="2")
    store.record_mark(PERP, mark=90)  # of no position, for none is open
    if forgets:  # as after another process has committed
        store.close()
        store.open()
    store.void_fill(PERP, "2")
    (position,) = store.get_open_positions()
    assert values(position.amount, position.mark_price, position.unrealized_pnl) == (3, 90, -30)
    assert store.get_portfolio_summary().unrealized_pnl == -30


def test_a_corrected_exit_gives_back_what_it_took(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 3, trade_id="1")
    store.record_fill(PERP, "sell", 120, 3, trade_id="2")
    result = store.record_fill(PERP, "sell", 110, 1, trade_id="2")
    assert result.trade.realized_pnl == 10
    (position,) = store.get_open_positions()
    assert values(position.amount, position.entry_cost, position.realized_pnl, position.closed_at) == (
        2, 200, 10, None
    )  # fmt: skip
    assert held(store) == {"USDT": Decimal(10)}
    assert of_day(store)["realized"] == 10
    (entry,) = rows(store, "SELECT amount FROM ledger")
    assert entry == ("10",)


def test_the_cost_of_a_closed_position_is_realised(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="1")
    store.record_fill(PERP, "sell", 120, 1, trade_id="2")
    result = store.record_fill(PERP, "buy", 105, 1, trade_id="1")
    assert result.position is not None
    assert values(result.position.status, result.position.realized_pnl) == ("CLOSED", 15)
    assert result.trade.realized_pnl == -5, "what it takes from the profit that its close booked"
    assert held(store) == {"USDT": Decimal(15)}


def test_a_flip_is_cancelled_and_booked_again(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="1")
    store.record_fill(PERP, "sell", 110, 3, trade_id="2")
    store.record_fill(PERP, "sell", 110, 2, trade_id="2")
    (position,) = store.get_open_positions()
    assert values(position.side, position.amount) == ("SHORT", 1)
    realized = sum(Decimal(text) for (text,) in rows(store, "SELECT realized_pnl FROM positions"))
    assert realized - (-position.entry_cost) == -100 + 220, "what came in less what went out"
    assert held(store)["USDT"] == realized


def test_a_voided_fill_counts_nothing_and_stays_known(store: HybridStore) -> None:
    store.record_ledger_entries([("default", "d", "deposit", "USDT", 1000, None, START_US)])
    before = held(store), of_day(store)
    store.record_fill(
        SPOT, "buy", 100, 2, trade_id="1", fees=[("BTC", "0.01"), ("BNB", "0.1")], executed_at=START_US
    )
    result = store.void_fill(SPOT, "1")
    assert values(result.trade.amount, result.trade.quote_amount, result.trade.fee_in_quote) == (0, 0, None)
    assert store.get_open_positions() == []
    assert {asset: amount for asset, amount in held(store).items() if amount} == before[0]
    assert of_day(store) == before[1]
    assert store.get_last_trade(SPOT) is None
    again = store.record_fill(
        SPOT, "buy", 100, 2, trade_id="1", fees=[("BTC", "0.01"), ("BNB", "0.1")], executed_at=START_US
    )
    assert again.repeated
    assert store.void_fill(SPOT, "1").repeated
    assert of_day(store) == before[1]
    with pytest.raises(NotFound, match="no fill '2' of order '-' on BTC/USDT"):
        store.void_fill(SPOT, "2")


def test_a_voided_exit_opens_its_position_again(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="1")
    store.record_fill(PERP, "sell", 120, 1, trade_id="2")
    store.void_fill(PERP, "2")
    (position,) = store.get_open_positions()
    assert values(position.amount, position.entry_cost, position.realized_pnl) == (1, 100, 0)
    assert held(store) == {"USDT": 0}
    store.record_fill(PERP, "sell", 130, 1, trade_id="3")
    assert held(store) == {"USDT": 30}


def test_no_second_position_opens_beside_a_later_one(store: HybridStore) -> None:
    fills: list[tuple[str, int, str, str]] = [
        ("buy", 100, "1", "a"),
        ("sell", 110, "0.4", "b"),
        ("sell", 120, "0.6", "c"),
    ]
    for side, price, amount, trade_id in fills:
        store.record_fill(PERP, side, price, amount, trade_id=trade_id)
    store.record_fill(PERP, "buy", 130, 1, trade_id="d")
    store.record_fill(PERP, "sell", 110, "0.3", trade_id="b")
    (position,) = store.get_open_positions()
    assert position.amount == Decimal("1.1")
    store.record_fill(PERP, "sell", 140, "1.1", trade_id="e")
    assert held(store) == {"USDT": Decimal(-100) + 33 + 72 - 130 + 154}


def test_another_fee_asset_and_another_moment_move_with_their_sums(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="1", fee=1, executed_at=START_US)
    store.record_fill(
        PERP, "buy", 100, 1, trade_id="1", fee=2, fee_currency="BNB", executed_at=START_US - DAY_US
    )
    assert held(store) == {"USDT": 0, "BNB": -2}
    assert of_day(store, "BNB")["fees"] == 2
    daily = rows(
        store, "SELECT period, volume, trade_count FROM portfolio_daily WHERE currency = 'USDT' ORDER BY 1"
    )
    day_us = START_US - START_US % DAY_US
    assert daily == [(day_us - DAY_US, "100", 1), (day_us, "0", 0)]
    deltas = rows(store, "SELECT occurred_at, amount_delta FROM position_events")
    moved: dict[int, Decimal] = defaultdict(Decimal)
    for occurred_us, amount in deltas:
        moved[occurred_us] += Decimal(amount)
    assert moved == {START_US: 0, START_US - DAY_US: 1}


def test_what_changes_only_words_moves_no_money(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="1")
    events = rows(store, "SELECT count(*) FROM position_events")
    result = store.record_fill(PERP, "buy", 100, 1, trade_id="1", strategy="s")
    assert (result.corrected, result.position) == (("strategy",), None)
    assert rows(store, "SELECT count(*) FROM position_events") == events


def test_a_fill_of_an_archived_day_is_corrected_with_all_that_follows(
    store: HybridStore, clock: ManualClock
) -> None:
    store.record_fill(INVERSE, "buy", 50_000, 100, contract_size=100, trade_id="1", executed_at=START_US)
    store.record_fill(INVERSE, "sell", 51_000, 100, contract_size=100, trade_id="2", executed_at=START_US + 1)
    clock.advance(30 * DAY_US)
    store.retention.run()
    assert rows(store, "SELECT count(*) FROM trades") == [(0,)]
    store.record_fill(INVERSE, "sell", 52_000, 100, contract_size=100, trade_id="2", executed_at=START_US + 1)
    store.void_fill(INVERSE, "1")
    store.record_fill(INVERSE, "buy", 50_000, 100, contract_size=100, trade_id="3", executed_at=START_US)
    by_trades = store.sql("SELECT sum(realized_pnl) FROM trades").rows()[0][0]
    by_ledger = store.sql("SELECT sum(amount) FROM ledger WHERE asset = 'BTC'").rows()[0][0]
    by_events = store.sql("SELECT sum(realized_delta), sum(amount_delta * if(side = 'LONG', 1, -1)) "
        "FROM position_events JOIN positions USING (position_id)").rows()[0]  # fmt: skip
    assert by_trades == by_ledger == by_events[0] == held(store)["BTC"]
    assert by_events[1] == 0
    exact = Fraction(10_000, 50_000) - Fraction(10_000, 52_000)
    assert abs(Fraction(by_trades) - exact) < Fraction(1, 10**16)


def test_a_ledger_entry_is_corrected_and_voided_with_what_it_counts(store: HybridStore) -> None:
    entry = ("default", "d-1", "deposit", "USDT", 100, None, START_US)
    assert store.record_ledger_entries([entry, entry]).repeated == 1
    assert store.record_ledger_entries([(*entry[:3], "BTC", 2, None, START_US)]).corrected == 1
    assert held(store) == {"USDT": 0, "BTC": 2}
    assert of_day(store, "BTC")["net_flow"] == 2
    assert of_day(store)["net_flow"] == 0
    assert store.void_ledger_entry("d-1")
    assert not store.void_ledger_entry("d-1")
    assert held(store) == {"USDT": 0, "BTC": 0}
    assert store.record_ledger_entries([entry]).repeated == 1, "an old version told again"
    with pytest.raises(NotFound, match="no ledger entry 'd-2'"):
        store.void_ledger_entry("d-2")


def test_what_a_fill_entered_is_not_changed_beside_it(store: HybridStore) -> None:
    store.record_fill(SPOT, "buy", 100, 1, trade_id="1", order_id="o")
    ((entry_id, reference),) = rows(store, "SELECT entry_id, reference FROM ledger WHERE asset = 'BTC'")
    before = contents(store)
    with pytest.raises(InvalidValue, match="is the name of what a fill enters"):
        store.record_ledger_entries([("default", entry_id, "trade", "BTC", 5, reference, START_US)])
    with pytest.raises(InvalidValue, match="void_fill"):
        store.record_ledger_entries([("default", entry_id, "trade", "BTC", 5, None, START_US)])
    with pytest.raises(InvalidValue, match="void_fill"):
        store.void_ledger_entry(entry_id)
    assert contents(store) == before


@pytest.mark.parametrize("hedged", [False, True])
def test_corrections_in_any_order_leave_the_sum_of_the_last_versions(
    store: HybridStore, clock: ManualClock, rng: random.Random, *, hedged: bool
) -> None:
    """Random corrections and voids of fills, some of them archived: what came in less what went out stays exact."""
    fills: dict[str, tuple[str, Decimal, Decimal, str | None]] = {}
    for step in range(160):
        if step == 80:
            clock.advance(20 * DAY_US)
            store.retention.run()
        trade_id = str(rng.randrange(40))
        side, price = rng.choice(["buy", "sell"]), Decimal(rng.randrange(50, 150))
        amount = Decimal(rng.randrange(1, 30)) / 10
        place = rng.choice(["LONG", "SHORT"]) if hedged else None
        if trade_id in fills:
            place = fills[trade_id][3]
            if rng.random() < 0.3:
                store.void_fill(PERP, trade_id)
                fills[trade_id] = (side, price, Decimal(0), place)
                continue
        result = store.record_fill(
            PERP, side, price, amount, trade_id=trade_id, position_side=place, fee=amount,
            executed_at=START_US - int(trade_id) * _HOUR_US,
        )  # fmt: skip
        trade = result.trade
        fills[trade_id] = (trade.side, trade.price, trade.amount, place)
    table = store.sql("SELECT side, amount, entry_cost, realized_pnl FROM positions").rows()
    signs = [1 if side == "LONG" else -1 for side, *_ in table]
    realized = sum(row[3] for row in table)
    assert realized == held(store)["USDT"] + of_day(store)["fees"] == of_day(store)["realized"]
    assert of_day(store)["trade_count"] == sum(bool(amount) for _, _, amount, _ in fills.values())
    assert of_day(store)["fees"] == sum(amount for _, _, amount, _ in fills.values())
    assert store.sql("SELECT sum(realized_pnl) FROM trades").rows() == [(realized,)]
    if not hedged:  # of a hedge, what is beyond a side changes no position
        net = sum(amount if side == "buy" else -amount for side, _, amount, _ in fills.values())
        cash = sum(
            price * (-amount if side == "buy" else amount) for side, price, amount, _ in fills.values()
        )
        assert sum(sign * row[1] for sign, row in zip(signs, table, strict=True)) == net
        assert realized - sum(sign * row[2] for sign, row in zip(signs, table, strict=True)) == cash


def test_a_fill_that_left_an_archived_day_is_corrected_again(store: HybridStore, clock: ManualClock) -> None:
    """What is hot of it undoes what is archived of its former day."""
    store.record_fill(SPOT, "buy", 100, 1, trade_id="t", executed_at=START_US)
    clock.advance(20 * DAY_US)
    store.retention.run()
    for price in (110, 120):
        store.record_fill(SPOT, "buy", price, 1, trade_id="t", executed_at=START_US - DAY_US)
    (position,) = store.get_open_positions()
    assert values(position.amount, position.entry_cost, position.entry_price) == (1, 120, 120)
    clock.advance(20 * DAY_US)
    store.retention.run()
    assert store.void_fill(SPOT, "t").position is not None
    assert store.get_open_positions() == []


def test_a_position_never_had_less_than_it_has(store: HybridStore) -> None:
    for side, amount, trade_id in [("buy", 5, "1"), ("sell", 2, "2"), ("buy", 3, "3")]:
        store.record_fill(PERP, side, 100, amount, trade_id=trade_id)
    position = store.record_fill(PERP, "sell", 100, 1, trade_id="2").position
    assert position is not None
    assert values(position.amount, position.peak_amount) == (7, 7)


@pytest.mark.parametrize(("side", "entry", "exit_"), [("SHORT", "sell", "buy"), ("LONG", "buy", "sell")])
def test_of_an_archived_side_of_a_hedge_the_fee_is_corrected(
    store: HybridStore, clock: ManualClock, side: str, entry: str, exit_: str
) -> None:
    for way, amount, trade_id in [(entry, 9, "1"), (exit_, 9, "2")]:
        store.record_fill(PERP, way, 100, amount, trade_id=trade_id, position_side=side, executed_at=START_US)
    clock.advance(20 * DAY_US)
    store.retention.run()
    store.record_fill(PERP, entry, 100, 4, trade_id="3", position_side=side)
    for trade_id, way in (("2", exit_), ("1", entry)):
        store.record_fill(
            PERP, way, 100, 9, trade_id=trade_id, position_side=side, fee=1, executed_at=START_US
        )
    (position,) = store.get_open_positions()
    assert values(position.side, position.amount, position.entry_cost) == (side, 4, 400)


def test_a_flip_that_was_the_last_is_undone_exactly(store: HybridStore) -> None:
    first = store.record_fill(PERP, "buy", 100, 1, trade_id="1").position
    store.record_fill(PERP, "sell", 110, 3, trade_id="2", fee=1)
    result = store.void_fill(PERP, "2")
    (position,) = store.get_open_positions()
    assert first is not None
    assert values(position.position_id, position.side, position.amount, position.entry_cost) == (
        first.position_id, "LONG", 1, 100
    )  # fmt: skip
    assert values(position.realized_pnl, result.trade.realized_pnl, position.fees) == (0, 0, 0)
    store.record_fill(PERP, "sell", 120, 2, trade_id="2")
    (position,) = store.get_open_positions()
    assert values(position.side, position.amount, position.entry_cost) == ("SHORT", 1, 120)
    assert held(store) == {"USDT": 20}


def test_what_is_realised_stays_when_a_fill_moves_over_archived_days(
    store: HybridStore, clock: ManualClock
) -> None:
    """Booked beside, moved to another day, archived, and corrected again: trades, events and ledger agree."""
    store.record_fill(PERP, "buy", 100, 1, trade_id="1", executed_at=START_US)
    store.record_fill(PERP, "sell", 110, 3, trade_id="2", executed_at=START_US)
    store.record_fill(PERP, "buy", 120, 1, trade_id="3", executed_at=START_US)
    days = 1
    for price, amount in [(111, 2), (112, 3), (113, 4), (114, 0), (115, 2)]:
        clock.advance(20 * DAY_US)
        store.retention.run()
        if amount:
            store.record_fill(PERP, "sell", price, amount, trade_id="2", executed_at=START_US - days * DAY_US)
        else:
            store.void_fill(PERP, "2")
        days += 1
        (trades,) = store.sql("SELECT sum(realized_pnl) FROM trades").rows()[0]
        (events,) = store.sql("SELECT sum(realized_delta) FROM position_events").rows()[0]
        (entries,) = store.sql("SELECT sum(amount) FROM ledger").rows()[0]
        assert trades == events == entries == held(store)["USDT"]
        assert store.books.prove().holds


def test_a_channel_that_does_not_know_of_a_liquidation_takes_none_back(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1, trade_id="1", liquidation=True)
    assert store.record_fill(PERP, "buy", 100, 1, trade_id="1").repeated
    assert rows(store, "SELECT liquidation FROM trades") == [(1,)]


def test_no_entry_by_hand_takes_the_name_of_a_fills(store: HybridStore) -> None:
    for entry_id in ("BTC/USDT|zz|-|base", "x|fee12", "funding|BTC/USDT:USDT|1"):
        with pytest.raises(InvalidValue, match="is the name of what a f"):
            store.record_ledger_entries([("default", entry_id, "deposit", "BTC", 5, None, START_US)])
    assert store.record_ledger_entries(
        [("default", "my|base|1", "deposit", "BTC", 5, None, START_US)]
    ).inserted


def test_averages_are_plain_numbers(store: HybridStore) -> None:
    store.record_fill(PERP, "buy", 100, 1)
    position = store.record_fill(PERP, "buy", 100, 3).position
    assert position is not None
    assert (str(position.entry_price), str(position.entry_cost)) == ("100", "400")
