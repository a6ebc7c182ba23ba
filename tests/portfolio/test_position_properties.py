"""Random lives of positions against books kept in fractions: every field equal, nothing lost, difference exactly 0."""

from __future__ import annotations

import decimal
from decimal import Context, Decimal
from fractions import Fraction
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from hybridstore.portfolio.fill import FillInput, fee_totals
from hybridstore.portfolio.ledger import fill_entries
from hybridstore.portfolio.money import ZERO, add, multiply, round_money
from hybridstore.portfolio.position import (
    PositionState,
    apply_fill,
    apply_funding,
    apply_mark,
    unrealized_pnl,
)
from hybridstore.portfolio.symbols import parse_symbol
from tests.portfolio.oracle import Deal, Oracle, exact

HOSTILE = Context(prec=3, rounding=decimal.ROUND_UP, traps=[decimal.Inexact, decimal.Rounded])
"""What a caller's context may be; every script runs inside it."""


class Step(NamedTuple):
    """One thing that happens: a fill (of an amount, or a share of what is open), then a mark, then funding."""

    side: str
    price: Decimal
    amount: Decimal
    share: Decimal | None
    fee: Decimal
    mark: Decimal
    funding: Decimal


def scaled(places: int, low: int, high: int) -> st.SearchStrategy[Decimal]:
    exactly = Context(prec=60)
    return st.integers(min_value=low, max_value=high).map(
        lambda value: Decimal(value).scaleb(-places, exactly)
    )


def prices() -> st.SearchStrategy[Decimal]:
    return st.one_of(scaled(2, 1, 10**7), scaled(8, 1, 10**12), scaled(18, 1, 10**24))


def amounts() -> st.SearchStrategy[Decimal]:
    return st.one_of(scaled(0, 1, 1000), scaled(8, 1, 10**11), scaled(18, 1, 10**22))


steps = st.builds(
    Step,
    st.sampled_from(["buy", "sell"]),
    prices(),
    amounts(),
    st.sampled_from([None, *map(Decimal, ("0.25", "0.5", "1", "1.5"))]),
    scaled(8, -(10**6), 10**9),
    prices(),
    scaled(8, -(10**8), 10**8),
)
scripts = st.lists(steps, min_size=1, max_size=25)
contracts = st.tuples(
    st.sampled_from([Decimal(1), Decimal("0.001"), Decimal(10), Decimal(100)]), st.booleans()
)


class Played(NamedTuple):
    """What a script came to: every position there was, and the fills as they were applied."""

    positions: list[PositionState]
    fills: list[FillInput]
    realized: list[Decimal]


def play(script: list[Step], contract: tuple[Decimal, bool]) -> Played:
    """Apply a script in a hostile context; a share is one of the position that is open."""
    size, inverse = contract
    finished: list[PositionState] = []
    fills, realized = [], []
    state: PositionState | None = None
    with decimal.localcontext(HOSTILE):
        for step in script:
            of_open = round_money(multiply(state.amount, step.share)) if state and step.share else ZERO
            amount = of_open or step.amount
            one = FillInput(step.side, step.price, amount, size, inverse, step.fee)
            change = apply_fill(state, one)
            fills.append(one)
            realized.append(change.realized_delta)
            if change.before is not None and change.before.status == "CLOSED":
                finished.append(change.before)
                state = change.opened
            else:
                state = change.opened or change.before
            if state is not None:
                state = apply_funding(apply_mark(state, step.mark), step.funding)
    return Played([*finished, state] if state else finished, fills, realized)


def deal_of(one: FillInput) -> Deal:
    sign = 1 if one.side == "buy" else -1
    return Deal(
        sign * exact(one.amount),
        exact(one.price),
        exact(one.contract_size),
        one.inverse,
        exact(one.fee_in_quote),
    )


@given(script=scripts, contract=contracts)
def test_every_field_is_that_of_the_fractions(script: list[Step], contract: tuple[Decimal, bool]) -> None:
    played = play(script, contract)
    oracle = Oracle()
    for step, one in zip(script, played.fills, strict=True):
        oracle.trade(deal_of(one))
        oracle.mark(deal_of(one), exact(step.mark))
    holdings = [*oracle.closed, oracle.holding] if oracle.holding else oracle.closed
    assert len(holdings) == len(played.positions)
    for holding, state in zip(holdings, played.positions, strict=True):
        assert exact(state.amount) == abs(holding.quantity)
        assert state.status == ("OPEN" if holding.quantity else "CLOSED")
        assert state.side == ("LONG" if holding.quantity > 0 else "SHORT") or not holding.quantity
        assert exact(state.entry_cost) == holding.cost
        assert exact(state.entry_price) == holding.entry
        assert exact(state.realized_pnl) == holding.realized
        assert exact(state.fees) == holding.fees
        assert exact(state.peak_amount) == holding.peak
        assert (exact(state.max_favourable), exact(state.max_adverse)) == (holding.best, holding.worst)


@given(script=scripts, contract=contracts)
def test_profit_is_what_came_in_less_what_went_out(
    script: list[Step], contract: tuple[Decimal, bool]
) -> None:
    played = play(script, contract)
    realized = sum((exact(state.realized_pnl) for state in played.positions), Fraction(0))
    assert realized == sum(map(exact, played.realized), Fraction(0))
    deals = [deal_of(one) for one in played.fills]
    bought = sum((deal.value for deal in deals if deal.quantity > 0), Fraction(0))
    sold = sum((deal.value for deal in deals if deal.quantity < 0), Fraction(0))
    last = played.positions[-1]
    mark = script[-1].mark
    net = sum((deal.quantity for deal in deals), Fraction(0))
    assert abs(net) == exact(last.amount)
    worth = deals[-1].worth(abs(net), exact(mark)) * (1 if net > 0 else -1)
    profit = bought - sold - worth if contract[1] else sold - bought + worth
    assert realized + exact(unrealized_pnl(last, mark)) == profit
    fees = sum((exact(state.fees) for state in played.positions), Fraction(0))
    assert fees == sum((deal.fee for deal in deals), Fraction(0))


class SpotStep(NamedTuple):
    """A spot fill: how much, and its fee in thousandths of it, in one of three assets or two at once."""

    side: str
    price: Decimal
    amount: Decimal
    fee_share: Decimal
    fee_assets: tuple[str, ...]


spot_scripts = st.lists(
    st.builds(
        SpotStep,
        st.sampled_from(["buy", "buy", "sell"]),
        scaled(4, 1, 10**9),
        scaled(6, 1, 10**9),
        scaled(3, -20, 100),
        st.sampled_from([("USDT",), ("BTC",), ("BNB",), ("USDT", "BTC"), ("BTC", "BNB")]),
    ),
    min_size=1,
    max_size=25,
)
BNB_PRICE = Decimal("612.5")


@given(script=spot_scripts, mark=scaled(4, 1, 10**9))
def test_spot_equity_moves_by_realised_and_unrealised_less_fees(
    script: list[SpotStep], mark: Decimal
) -> None:
    """Balances from the ledger, profit from the positions: two computations of one change, difference exactly 0.

    A sale never exceeds the position less its own fee: what lies outside of positions earns nothing in them.
    """
    market = parse_symbol("BTC/USDT")
    balances = {"BTC": Decimal(0), "USDT": Decimal(0), "BNB": Decimal(0)}
    finished: list[PositionState] = []
    state: PositionState | None = None
    fees_in_bnb = Decimal(0)
    with decimal.localcontext(HOSTILE):
        for step in script:
            amount = step.amount
            if step.side == "sell":
                if state is None:
                    continue
                amount = min(amount, multiply(state.amount, Decimal("0.8")))
            costs = {
                "USDT": multiply(multiply(amount, step.price), step.fee_share),
                "BTC": multiply(amount, step.fee_share),
                "BNB": step.fee_share,
            }
            fees = [(asset, Decimal(format(costs[asset], ".18f"))) for asset in step.fee_assets]
            totals = fee_totals(market, step.price, fees)
            quote = multiply(step.price, amount)
            one = FillInput(
                step.side,
                step.price,
                amount,
                fee_in_quote=totals.known_in_quote,
                fee_in_base=totals.in_base,
                cost=Decimal(format(quote, ".12f")),
            )
            change = apply_fill(state, one)
            assert one.cost is not None
            for entry in fill_entries(market, one.side, amount, one.cost, change.realized_delta, fees):
                balances[entry.asset] = add(balances[entry.asset], entry.amount)
            fees_in_bnb = add(fees_in_bnb, dict(fees).get("BNB", Decimal(0)))
            state = change.opened or change.before
            if state is not None and state.status == "CLOSED":
                finished.append(state)
                state = None
    assert balances["BTC"] == (state.amount if state else 0)
    positions = [*finished, state] if state else finished
    value = exact(balances["USDT"]) + exact(balances["BNB"]) * exact(BNB_PRICE)
    value += Deal(Fraction(1), Fraction(1), Fraction(1), inverse=False).worth(
        exact(balances["BTC"]), exact(mark)
    )
    profit = sum((exact(one.realized_pnl) - exact(one.fees) for one in positions), Fraction(0))
    unrealized = exact(unrealized_pnl(state, mark)) if state else Fraction(0)
    assert value == profit + unrealized - exact(fees_in_bnb) * exact(BNB_PRICE)


@given(script=scripts, contract=contracts)
def test_contract_equity_moves_by_realised_unrealised_and_funding_less_fees(
    script: list[Step], contract: tuple[Decimal, bool]
) -> None:
    """The settle asset's balance from the ledger; fees and funding are paid in it."""
    market = parse_symbol("BTC/USD:BTC" if contract[1] else "BTC/USDT:USDT")
    played = play(script, contract)
    balance = Fraction(0)
    for one, realized in zip(played.fills, played.realized, strict=True):
        fees = [(market.profit_asset, one.fee_in_quote)]
        for entry in fill_entries(market, one.side, one.amount, one.amount, realized, fees):
            assert entry.asset == market.profit_asset
            balance += exact(entry.amount)
    balance += sum((exact(state.funding) for state in played.positions), Fraction(0))
    last, mark = played.positions[-1], script[-1].mark
    equity = balance + exact(unrealized_pnl(last, mark))
    realized_pnl = sum((exact(state.realized_pnl) for state in played.positions), Fraction(0))
    fees_paid = sum((exact(state.fees) for state in played.positions), Fraction(0))
    funding = sum((exact(state.funding) for state in played.positions), Fraction(0))
    assert equity == realized_pnl + exact(unrealized_pnl(last, mark)) + funding - fees_paid
