"""Random fills through every method and through changes of method, against lots kept in fractions: difference 0."""

from __future__ import annotations

import decimal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from hybridstore.portfolio.fill import FillInput, fill_cost
from hybridstore.portfolio.lots import compute_lots, total_by_plan, total_by_year
from hybridstore.portfolio.lots_records import METHODS, Disposal, LotFill, OpenLot, make_lot_fill
from hybridstore.portfolio.money import add, multiply, round_money, subtract
from hybridstore.portfolio.position import PositionState, apply_fill
from hybridstore.portfolio.symbols import Market, parse_symbol
from hybridstore.schema.types import EPOCH
from tests.portfolio.lots_oracle import Closed, Deal, LotOracle, exact

HOSTILE = decimal.Context(prec=3, rounding=decimal.ROUND_UP, traps=[decimal.Inexact, decimal.Rounded])
"""What a caller's context may be."""
YEARS = range(2023, 2028)
GAPS = (timedelta(0), timedelta(microseconds=1), timedelta(hours=7), timedelta(days=90), timedelta(days=800))
MARKETS = ("BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC")
"""Spot, linear and inverse."""


class Step(NamedTuple):
    """A fill: how much (an amount, or a share of all that was bought so far), its fees, and how long before it."""

    side: str
    price: Decimal
    amount: Decimal
    share: Decimal | None
    fee: Decimal
    base_fee_share: Decimal | None
    other_fee: Decimal
    gap: timedelta


class Script(NamedTuple):
    """Fills of a market, and the methods of years."""

    market: Market
    contract_size: Decimal
    steps: list[Step]
    by_year: dict[int, str]


def scaled(places: int, low: int, high: int) -> st.SearchStrategy[Decimal]:
    exactly = decimal.Context(prec=60)
    return st.integers(min_value=low, max_value=high).map(
        lambda value: Decimal(value).scaleb(-places, exactly)
    )


prices = st.one_of(scaled(2, 1, 10**7), scaled(8, 1, 10**12), scaled(18, 1, 10**24))
amounts = st.one_of(scaled(0, 1, 1000), scaled(8, 1, 10**11), scaled(18, 1, 10**22))
steps = st.builds(
    Step,
    st.sampled_from(["buy", "sell"]),
    st.one_of(prices, st.sampled_from([Decimal(100), Decimal("100.5")])),  # equal prices are ties of HIFO
    amounts,
    st.sampled_from([None, *map(Decimal, ("0.25", "0.5", "1", "1.5"))]),
    st.one_of(st.just(Decimal(0)), scaled(8, -(10**6), 10**9)),
    st.one_of(st.none(), scaled(3, -20, 100)),
    st.one_of(st.just(Decimal(0)), scaled(8, -(10**6), 10**9)),
    st.sampled_from(GAPS),
)
scripts = st.builds(
    Script,
    st.sampled_from(MARKETS).map(parse_symbol),
    st.sampled_from([Decimal(1), Decimal("0.001"), Decimal(100)]),
    st.lists(steps, min_size=1, max_size=25),
    st.dictionaries(st.sampled_from(YEARS), st.sampled_from(METHODS), max_size=4),
)


def told(script: Script) -> list[LotFill]:
    """Return the fills of a script as the books would tell them; trade ids count from 1."""
    market, fills = script.market, []
    executed_at = datetime(2023, 3, 1, tzinfo=UTC)
    bought = Decimal(1)
    for number, step in enumerate(script.steps, start=1):
        executed_at += step.gap
        amount = (round_money(multiply(bought, step.share)) if step.share else step.amount) or step.amount
        bought = amount if step.side == "buy" else bought
        fees = [(market.profit_asset, step.fee), ("BNB", step.other_fee), ("BNB", step.other_fee)]
        if market.is_spot and step.base_fee_share:
            fees.append((market.base, round_money(multiply(amount, step.base_fee_share))))
        fills.append(
            make_lot_fill(
                market,
                step.side,
                step.price,
                amount,
                fees,
                trade_id=str(number),
                order_id="-",
                executed_us=(executed_at - EPOCH) // timedelta(microseconds=1),
                contract_size=Decimal(1) if market.is_spot else script.contract_size,
            )
        )
    return fills


def deal_of(one: LotFill) -> Deal:
    fill = one.fill
    sign = 1 if fill.side == "buy" else -1
    return Deal(
        sign * exact(fill.amount),
        exact(fill.price),
        exact(fill.contract_size),
        fill.inverse,
        exact(one.fees),
    )


def said(one: Disposal, inverse: bool, numbers: dict[str, int]) -> Closed:  # noqa: FBT001  of one market
    """Return a disposal in the oracle's words: what the lot was opened for, and what closing it came to."""
    swapped = (one.side == "LONG") is inverse
    opened_for, closed_for = (one.proceeds, one.cost) if swapped else (one.cost, one.proceeds)
    assert closed_for is not None
    number = {"unknown": None, "pool": 0}.get(one.basis, -1)
    if number == -1:
        assert one.acquired_trade_id is not None
        number = numbers[one.acquired_trade_id] + (one.basis == "rebate")
    return Closed(
        one.year,
        number,
        one.side == "LONG",
        exact(one.amount),
        None if opened_for is None else exact(opened_for),
        exact(closed_for),
        exact(one.acquisition_fee),
        exact(one.disposal_fee),
    )


def numbered(fills: list[LotFill]) -> dict[str, int]:
    """Return the oracle's number of each fill: a rebate in base has one of its own behind its fill's."""
    numbers, count = {}, 0
    for one in fills:
        count += 1
        numbers[one.trade_id] = count
        count += one.fill.fee_in_base < 0
    return numbers


@given(script=scripts)
def test_every_disposal_is_that_of_the_fractions(script: Script) -> None:
    fills = told(script)
    with decimal.localcontext(HOSTILE):
        disposals, lots = compute_lots(script.market.symbol, fills, by_year=script.by_year)
    numbers = numbered(fills)
    for method in METHODS:
        oracle = LotOracle(method, script.by_year, spot=script.market.is_spot)
        for one in fills:
            oracle.trade(one.executed_at.year, deal_of(one), exact(one.fill.fee_in_base))
        mine = [one for one in disposals if one.plan == method]
        assert [said(one, script.market.inverse, numbers) for one in mine] == oracle.closed
        left = [
            (lot.side == "LONG", exact(lot.amount), exact(lot.entry_cost), exact(lot.acquisition_fee))
            for lot in lots
            if lot.plan == method
        ]
        assert left == [(one.long, one.quantity, one.cost, one.fees) for one in oracle.parcels]
        assert all(one.method == script.by_year.get(one.year, method) for one in mine)


def opening(one: Disposal, *, inverse: bool) -> Decimal | None:
    return one.proceeds if (one.side == "LONG") is inverse else one.cost


def added(values: list[Decimal]) -> Fraction:
    return sum(map(exact, values), Fraction(0))


@given(script=scripts)
def test_nothing_is_lost_and_nothing_is_made(script: Script) -> None:
    """Sums over what any method disposed of and left open are those of the fills, to the last place."""
    fills = told(script)
    inverse = script.market.inverse
    disposals, lots = compute_lots(script.market.symbol, fills, by_year=script.by_year)
    results = set()
    for method in METHODS:
        closed = [one for one in disposals if one.plan == method]
        left = [one for one in lots if one.plan == method]
        quantity = added([one.amount if one.side == "LONG" else -one.amount for one in left])
        for one in fills:
            quantity -= exact(one.fill.amount) * (1 if one.fill.side == "buy" else -1)
            quantity += exact(one.fill.fee_in_base)
        assert quantity == added([one.amount for one in closed if one.basis == "unknown"])
        if script.market.is_spot:
            sold = [one.fill.amount for one in fills if one.fill.side == "sell"]
            paid = [one.fill.fee_in_base for one in fills if one.fill.fee_in_base > 0]
            assert added([one.amount for one in closed if one.kind == "sale"]) == added(sold)
            assert added([one.amount for one in closed if one.kind == "fee"]) == added(paid)
            bought = [fill_cost(one.fill) for one in fills if one.fill.side == "buy"]
            bought += [rebate_cost(one) for one in fills if one.fill.fee_in_base < 0]
            costs = [one.cost for one in closed if one.cost is not None]
            assert added(costs) + added([lot.entry_cost for lot in left]) == added(bought)
        fees = added([one.acquisition_fee for one in closed]) + added([one.disposal_fee for one in closed])
        assert fees + added([lot.acquisition_fee for lot in left]) == added([one.fees for one in fills])
        others = [fees for one in closed for fees in one.other_fees]
        others += [fees for lot in left for fees in lot.other_fees]
        assert added([cost for _, cost in others]) == added(
            [cost for one in fills for _, cost in one.other_fees]
        )
        results.add(outcome(closed, left, inverse=inverse))
    assert len(results) == 1, "the methods differ by more than when a gain counts"


def rebate_cost(one: LotFill) -> Decimal:
    return fill_cost(FillInput("buy", one.fill.price, abs(one.fill.fee_in_base)))


def outcome(closed: list[Disposal], left: list[OpenLot], *, inverse: bool) -> Fraction:
    """Return net gains less what the open lots still have to earn: the same for every method.

    A sale of unknown basis has no gain; what it brought counts, whichever disposal it is in.
    """
    gains = added([one.gain_net for one in closed if one.gain_net is not None])
    unknown = [one for one in closed if one.basis == "unknown"]
    gains += added([one.proceeds for one in unknown if one.proceeds is not None])
    gains -= added([one.disposal_fee for one in unknown])
    for lot in left:
        cost = exact(lot.entry_cost)
        gains += cost if (lot.side == "LONG") is inverse else -cost
        gains -= exact(lot.acquisition_fee)
    return gains


@given(script=scripts)
def test_totals_are_the_sums_of_the_disposals(script: Script) -> None:
    disposals, _ = compute_lots(script.market.symbol, told(script), by_year=script.by_year)
    by_year = total_by_year(disposals)
    assert sum(one.disposals + one.unknown_disposals for one in by_year) == len(disposals)
    for one in total_by_plan(by_year):
        mine = [disposal for disposal in disposals if disposal.plan == one.plan]
        known = [disposal for disposal in mine if disposal.gain is not None]
        assert exact(one.gain) == added([each.gain for each in known if each.gain is not None])
        assert exact(one.gain_net) == added([each.gain_net for each in known if each.gain_net is not None])
        assert one.gain_net == subtract(one.gain, add(one.acquisition_fees, one.disposal_fees))
        unknown = [each.proceeds for each in mine if each.gain is None and each.proceeds is not None]
        assert exact(one.unknown_proceeds) == added(unknown)
        assert exact(one.proceeds) == added([each.proceeds for each in known if each.proceeds is not None])


@given(script=scripts)
def test_the_average_is_that_of_the_positions(script: Script) -> None:
    """Realised by each fill, and what stays open: the same as the running position, which nothing is sold beyond."""
    kept = within_position(told(script)) if script.market.is_spot else told(script)
    state: PositionState | None = None
    realized = []
    for one in kept:
        change = apply_fill(state, one.fill._replace(fee_in_quote=one.fees))
        last = change.opened or change.before
        assert last is not None
        state = last if last.status == "OPEN" else None
        realized.append(change.realized_delta)
    disposals, lots = compute_lots(script.market.symbol, kept, "AVERAGE")
    gains: dict[str, Fraction] = {}
    for disposal in disposals:
        assert disposal.gain is not None
        gains[disposal.trade_id] = gains.get(disposal.trade_id, Fraction(0)) + exact(disposal.gain)
    assert [gains.get(one.trade_id, Fraction(0)) for one in kept] == list(map(exact, realized))
    if state is None:
        assert lots == []
    else:
        (pool,) = lots
        assert (pool.side, pool.amount, pool.entry_cost) == (state.side, state.amount, state.entry_cost)


def within_position(fills: list[LotFill]) -> list[LotFill]:
    """Leave out the sales that go beyond what is held: a position knows nothing of them."""
    held = Fraction(0)
    kept = []
    for one in fills:
        amount, paid = exact(one.fill.amount), exact(one.fill.fee_in_base)
        after = held + (amount if one.fill.side == "buy" else -amount)
        if after < 0 or after < paid:
            continue
        held = after - paid
        kept.append(one)
    return kept
