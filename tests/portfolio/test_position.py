"""Positions by hand: every figure here can be checked with paper and pencil."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.position import (
    PositionChange,
    PositionEvent,
    PositionState,
    apply_fill,
    apply_funding,
    apply_mark,
    open_position,
    unrealized_pnl,
)

INVERSE_SIZE = Decimal(100)


def fill(side: str, price: str, amount: str, fee: str = "0") -> FillInput:
    return FillInput(side, Decimal(price), Decimal(amount), fee_in_quote=Decimal(fee))


def inverse(side: str, price: str, contracts: str) -> FillInput:
    return FillInput(side, Decimal(price), Decimal(contracts), INVERSE_SIZE, inverse=True)


def figures(*values: object) -> tuple[object, ...]:
    """Numbers to compare as numbers: a Decimal and an int may be equal."""
    return values


def said(event: PositionEvent | None) -> tuple[object, ...]:
    """The event but for the deltas of cost, fees and funding, whose sums are tested as properties."""
    assert event is not None
    return tuple(event)[:6]


def after(*fills: FillInput) -> PositionState:
    """The position these fills leave; none of them may flip it."""
    state: PositionState | None = None
    for one in fills:
        change = apply_fill(state, one)
        assert not (change.before and change.opened)
        state = change.opened or change.before
    assert state is not None
    return state


def opened_by(change: PositionChange) -> PositionState:
    assert change.opened is not None
    return change.opened


def test_a_first_fill_opens() -> None:
    change = apply_fill(None, fill("buy", "45000", "0.1", "4.5"))
    opened = opened_by(change)
    assert figures(opened.side, opened.status, opened.amount) == figures("LONG", "OPEN", Decimal("0.1"))
    assert figures(opened.entry_price, opened.entry_cost, opened.fees) == figures(
        Decimal(45_000),
        Decimal(4500),
        Decimal("4.5"),
    )
    assert opened.peak_amount == Decimal("0.1")
    assert said(change.opened_event) == figures(
        "open",
        Decimal("0.1"),
        Decimal(45_000),
        Decimal("0.1"),
        Decimal(45_000),
        0,
    )
    assert change.opened_event is not None
    assert change.opened_event[6:] == (Decimal(4500), Decimal("4.5"), Decimal(0))
    assert figures(change.before, change.before_event, change.realized_delta) == figures(None, None, 0)


def test_a_sale_opens_a_short() -> None:
    opened = opened_by(apply_fill(None, fill("sell", "45000", "0.1")))
    assert opened.side == "SHORT"
    assert unrealized_pnl(opened, Decimal(44_000)) == Decimal(100)


def test_an_increase_averages_the_cost() -> None:
    state = after(fill("buy", "100", "1"), fill("buy", "130", "2"))
    assert figures(state.amount, state.entry_cost, state.entry_price) == figures(3, 360, 120)
    assert state.peak_amount == 3


def test_a_reduce_realises_its_share_and_keeps_the_average() -> None:
    start = after(fill("buy", "100", "1"), fill("buy", "130", "2"))
    change = apply_fill(start, fill("sell", "150", "2", "0.3"))
    reduced = change.before
    assert reduced is not None
    # 2 * 150 came in, 2/3 of 360 went out.
    assert change.realized_delta == reduced.realized_pnl == 60
    assert figures(reduced.amount, reduced.entry_cost, reduced.entry_price) == figures(1, 120, 120)
    assert figures(reduced.status, reduced.fees, reduced.peak_amount) == figures("OPEN", Decimal("0.3"), 3)
    assert said(change.before_event) == figures("reduce", -2, 150, 1, 120, 60)


def test_a_close_takes_all_that_is_left_of_the_cost() -> None:
    # A third each: the shares of 100 are rounded, and the last one takes the rest.
    state = after(fill("buy", "100", "1"), fill("buy", "0.000000000000000001", "2"))
    realized = []
    for _ in range(3):
        change = apply_fill(state, fill("sell", "50", "1"))
        assert change.before is not None
        state = change.before
        realized.append(change.realized_delta)
    assert figures(state.status, state.amount, state.entry_cost) == figures("CLOSED", 0, 0)
    with decimal.localcontext(prec=60):
        assert sum(realized) == state.realized_pnl == Decimal(150) - Decimal("100.000000000000000002")
    assert change.before_event is not None
    assert change.before_event.kind == "close"


def test_a_short_earns_when_it_buys_back_lower() -> None:
    state = after(fill("sell", "100", "2"), fill("buy", "90", "1"))
    assert figures(state.side, state.realized_pnl, state.amount) == figures("SHORT", 10, 1)


def test_a_flip_closes_and_opens_with_the_rest() -> None:
    start = after(fill("buy", "100", "1"))
    change = apply_fill(start, fill("sell", "110", "3", "0.9"))
    assert change.before is not None
    opened = opened_by(change)
    assert figures(change.before.status, change.before.realized_pnl, change.before.amount) == figures(
        "CLOSED", 10, 0
    )
    assert figures(opened.side, opened.amount, opened.entry_price, opened.entry_cost) == figures(
        "SHORT", 2, 110, 220
    )
    # A third of the fee closed the old one, two thirds opened the new one.
    assert figures(change.before.fees, opened.fees) == figures(Decimal("0.3"), Decimal("0.6"))
    assert said(change.before_event) == figures("flip", -1, 110, 0, 100, 10)
    assert said(change.opened_event) == figures("open", 2, 110, 2, 110, 0)
    assert figures(opened.realized_pnl, opened.peak_amount) == figures(0, 2)


def test_an_inverse_long_averages_harmonically_and_earns_coins() -> None:
    # 100 contracts of $100 at 50000 cost 0.2 BTC, 100 at 25000 cost 0.4 BTC: $20000 for 0.6 BTC.
    state = after(inverse("buy", "50000", "100"), inverse("buy", "25000", "100"))
    assert state.entry_cost == Decimal("0.6")
    assert state.entry_price == Decimal("33333.333333333333333333")
    # At 40000 the 200 contracts are worth 0.5 BTC: 0.1 BTC less to give back.
    assert unrealized_pnl(state, Decimal(40_000)) == Decimal("0.1")
    change = apply_fill(state, inverse("sell", "40000", "50"))
    assert change.realized_delta == Decimal("0.025")


def test_an_inverse_short_earns_when_the_price_falls() -> None:
    state = after(inverse("sell", "50000", "10"))
    assert unrealized_pnl(state, Decimal(40_000)) == Decimal("0.005")
    assert unrealized_pnl(state, Decimal(80_000)) == Decimal("-0.0075")


def test_a_speck_of_inverse_contracts_may_cost_nothing() -> None:
    state = after(
        inverse("sell", "1000", "0.000000000000000001"), inverse("sell", "2000", "0.000000000000000001")
    )
    assert figures(state.amount, state.entry_cost, state.entry_price) == figures(Decimal("2e-18"), 0, 2000)


def test_contracts_of_a_size() -> None:
    size = Decimal("0.01")
    bought, sold = fill("buy", "50000", "3"), fill("sell", "51000", "1")
    state = after(bought._replace(contract_size=size), sold._replace(contract_size=size))
    assert figures(state.entry_cost, state.realized_pnl) == figures(Decimal(1000), Decimal(10))


def test_a_fee_in_base_leaves_the_position_with_what_the_account_holds() -> None:
    bought = FillInput("buy", Decimal(100), Decimal(1), fee_in_quote=Decimal(1), fee_in_base=Decimal("0.01"))
    change = apply_fill(None, bought)
    opened = opened_by(change)
    assert figures(opened.amount, opened.entry_cost, opened.entry_price) == figures(Decimal("0.99"), 99, 100)
    assert figures(opened.realized_pnl, opened.fees, opened.peak_amount) == figures(0, 1, Decimal("0.99"))
    assert said(change.opened_event) == figures("open", Decimal("0.99"), 100, Decimal("0.99"), 100, 0)


def test_a_fee_in_base_is_a_sale_at_the_fills_price() -> None:
    start = after(fill("buy", "100", "1"))
    bought = fill("buy", "200", "1", "2")._replace(fee_in_base=Decimal("0.01"))
    change = apply_fill(start, bought)
    assert change.before is not None
    # Average 150; the 0.01 that paid the fee was worth 2 and had cost 1.5.
    assert change.realized_delta == change.before.realized_pnl == Decimal("0.5")
    assert figures(change.before.amount, change.before.entry_cost) == figures(
        Decimal("1.99"), Decimal("298.5")
    )
    assert figures(change.before.fees, change.before.peak_amount) == figures(2, Decimal("1.99"))
    assert said(change.before_event) == figures(
        "increase", Decimal("0.99"), 200, Decimal("1.99"), 150, Decimal("0.5")
    )


def test_a_rebate_in_base_is_a_purchase() -> None:
    rebated = fill("buy", "100", "1", "-1")._replace(fee_in_base=Decimal("-0.01"))
    opened = opened_by(apply_fill(None, rebated))
    assert figures(opened.amount, opened.entry_cost, opened.fees, opened.peak_amount) == figures(
        Decimal("1.01"),
        101,
        -1,
        Decimal("1.01"),
    )


def test_a_fee_in_base_makes_a_short_owe_more() -> None:
    start = after(fill("sell", "100", "2"))
    bought = fill("buy", "90", "1", "0.9")._replace(fee_in_base=Decimal("0.01"))
    change = apply_fill(start, bought)
    assert change.before is not None
    assert figures(change.before.amount, change.before.realized_pnl) == figures(Decimal("1.01"), 10)
    assert change.before.entry_cost == Decimal("100.9")


def test_a_sale_whose_fee_in_base_takes_the_rest_closes() -> None:
    start = after(fill("buy", "100", "1"))
    sold = fill("sell", "110", "0.99", "1.1")._replace(fee_in_base=Decimal("0.01"))
    change = apply_fill(start, sold)
    assert change.before is not None
    assert figures(change.before.status, change.before.amount, change.before.realized_pnl) == figures(
        "CLOSED", 0, 10
    )
    assert said(change.before_event) == figures("close", -1, 110, 0, 100, 10)


def test_a_fee_in_base_beyond_the_position_is_paid_from_elsewhere() -> None:
    start = after(fill("buy", "100", "1"))
    change = apply_fill(start, fill("sell", "110", "1", "1.1")._replace(fee_in_base=Decimal("0.01")))
    assert change.before is not None
    assert figures(change.before.status, change.before.realized_pnl, change.before.fees) == figures(
        "CLOSED",
        10,
        Decimal("1.1"),
    )


def test_a_first_fill_that_goes_to_its_own_fee_is_opened_and_closed_at_once() -> None:
    dust = fill("buy", "100", "0.00000001", "0.000001")._replace(fee_in_base=Decimal("0.00000001"))
    change = apply_fill(None, dust)
    opened = opened_by(change)
    assert figures(opened.status, opened.amount, opened.entry_cost, opened.fees) == figures(
        "CLOSED",
        0,
        0,
        Decimal("0.000001"),
    )
    assert said(change.opened_event) == figures("open", 0, 100, 0, 100, 0)


def test_a_flip_pays_its_fee_in_base_from_the_new_side() -> None:
    start = after(fill("sell", "100", "1"))
    change = apply_fill(start, fill("buy", "90", "3", "2.7")._replace(fee_in_base=Decimal("0.03")))
    opened = opened_by(change)
    assert change.before is not None
    assert figures(change.before.realized_pnl, change.before.fees) == figures(10, Decimal("0.9"))
    assert figures(opened.amount, opened.entry_cost, opened.fees) == figures(
        Decimal("1.97"),
        Decimal("177.3"),
        Decimal("1.8"),
    )


def test_a_fee_in_base_takes_no_more_than_is_left() -> None:
    start = after(fill("buy", "100", "1"))
    change = apply_fill(start, fill("sell", "110", "0.995", "1.1")._replace(fee_in_base=Decimal("0.01")))
    assert change.before is not None
    assert figures(change.before.status, change.before.amount, change.before.entry_cost) == figures(
        "CLOSED", 0, 0
    )
    assert said(change.before_event) == figures("close", -1, 110, 0, 100, 10)


def test_the_parts_of_a_flip_cost_what_the_fill_cost() -> None:
    # 5e-10 at 1e-9 is half of the last place and rounds to nothing; twice as much is one last place.
    start = after(fill("buy", "0.000000001", "0.0000000005"))
    change = apply_fill(start, fill("sell", "0.000000001", "0.000000001"))
    assert (start.entry_cost, change.realized_delta) == (Decimal(0), Decimal(0))
    assert opened_by(change).entry_cost == Decimal("0.000000000000000001")


def test_a_flip_shares_the_exchanges_own_cost() -> None:
    start = after(fill("buy", "100", "1"))
    change = apply_fill(start, fill("sell", "110", "3")._replace(cost=Decimal("330.02")))
    assert change.realized_delta == Decimal("10.006666666666666667")
    opened = opened_by(change)
    assert (opened.entry_price, opened.entry_cost) == (Decimal(110), Decimal("220.013333333333333333"))


def test_a_peak_stays_after_a_reduce() -> None:
    state = after(fill("buy", "100", "10"), fill("sell", "100", "5"), fill("buy", "100", "1"))
    assert figures(state.amount, state.peak_amount) == figures(6, 10)


def test_the_exchanges_own_cost_counts() -> None:
    bought = fill("buy", "3", "0.333333333333333333")._replace(cost=Decimal("0.99"))
    state = after(bought, fill("sell", "3", "0.333333333333333333")._replace(cost=Decimal("1.01")))
    assert state.realized_pnl == Decimal("0.02")


def test_a_liquidation_is_called_one() -> None:
    start = after(fill("buy", "100", "2"))
    part = apply_fill(start, fill("sell", "60", "1")._replace(is_liquidation=True))
    assert said(part.before_event) == figures("liquidate", -1, 60, 1, 100, -40)
    rest = apply_fill(part.before, fill("sell", "60", "1")._replace(is_liquidation=True))
    assert rest.before_event is not None
    assert rest.before_event.kind == "liquidate"
    assert rest.before is not None
    assert rest.before.status == "CLOSED"


def test_marks_remember_the_best_and_the_worst() -> None:
    state = after(fill("buy", "100", "2"))
    for mark in ("101", "97", "110", "105"):
        state = apply_mark(state, Decimal(mark))
    assert figures(state.mark_price, state.max_favourable, state.max_adverse) == figures(105, 20, -6)
    assert apply_mark(state, Decimal("105.0")) is state
    assert unrealized_pnl(state, state.mark_price) == 10


def test_without_a_mark_or_an_amount_there_is_no_unrealised_profit() -> None:
    state = after(fill("buy", "100", "2"))
    assert unrealized_pnl(state, None) == 0
    closed = after(fill("buy", "100", "2"), fill("sell", "90", "2"))
    assert unrealized_pnl(closed, Decimal(500)) == 0


def test_funding_adds_up() -> None:
    state = after(fill("buy", "100", "2"))
    state = apply_funding(apply_funding(state, Decimal("-0.25")), Decimal("0.1"))
    assert state.funding == Decimal("-0.15")
    assert state.realized_pnl == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (fill("long", "100", "1"), "side='long'"),
        (fill("buy", "100", "0"), "amount=0"),
        (fill("sell", "100", "-1"), "amount=-1"),
        (fill("buy", "0", "1"), "price=0"),
    ],
)
def test_what_is_no_fill_is_refused(wrong: FillInput, named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        apply_fill(None, wrong)


def test_a_fill_of_another_contract_is_refused() -> None:
    state = after(fill("buy", "100", "1"))
    with pytest.raises(
        InvalidValue, match="contract_size=10 inverse=False: the open position has contract_size=1"
    ):
        apply_fill(state, fill("buy", "100", "1")._replace(contract_size=Decimal(10)))
    with pytest.raises(InvalidValue, match="inverse=True"):
        apply_fill(state, fill("buy", "100", "1")._replace(inverse=True))


def test_a_closed_position_takes_no_fill() -> None:
    closed = after(fill("buy", "100", "1"), fill("sell", "100", "1"))
    with pytest.raises(InvalidValue, match="'CLOSED'"):
        apply_fill(closed, fill("buy", "100", "1"))


def test_a_position_is_long_or_short() -> None:
    with pytest.raises(InvalidValue, match="side='BOTH'"):
        open_position("BOTH", fill("buy", "100", "1"))


def test_a_contract_pays_no_fee_in_base() -> None:
    with pytest.raises(InvalidValue, match=r"fee_in_base=0\.1"):
        apply_fill(None, inverse("buy", "100", "1")._replace(fee_in_base=Decimal("0.1")))
