"""What an account did: amounts by currency that hours and days add up. Nothing is converted, so every sum is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from hybridstore.portfolio.fill import fees_by_asset
from hybridstore.portfolio.money import ZERO, add, subtract
from hybridstore.portfolio.symbols import Market

_FLOWS = frozenset({"deposit", "withdrawal", "transfer"})
_FEES = frozenset({"fee", "rebate"})


class Activity(NamedTuple):
    """Amounts in one currency.

    Attributes:
        net_flow: Deposits - withdrawals, transfers with their sign.
        realized: Realised by fills, gross of fees.
        funding: Received (+) or paid (-).
        fees: Paid (+), rebates (-).
        other: Interest, liquidation costs, adjustments and trades entered by hand, with their sign.
        volume: Sum of quote amounts.
        trade_count: Fills.
    """

    net_flow: Decimal = ZERO
    realized: Decimal = ZERO
    funding: Decimal = ZERO
    fees: Decimal = ZERO
    other: Decimal = ZERO
    volume: Decimal = ZERO
    trade_count: int = 0


NONE = Activity()


def add_activity(one: Activity, other: Activity) -> Activity:
    """Add amounts of one currency.

    Args:
        one: Some.
        other: Others.

    Returns:
        Their sums.
    """
    return _combine(add, one, other, one.trade_count + other.trade_count)


def undo_activity(one: Activity, other: Activity) -> Activity:
    """Take amounts out again.

    Args:
        one: Sums.
        other: What was added to them.

    Returns:
        What they were without it.
    """
    return _combine(subtract, one, other, one.trade_count - other.trade_count)


def _combine(
    operation: Callable[[Decimal, Decimal], Decimal], one: Activity, other: Activity, trade_count: int
) -> Activity:
    # Most amounts are zero: a fill is no flow, a flow no fill.
    return Activity(
        operation(one.net_flow, other.net_flow) if other.net_flow else one.net_flow,
        operation(one.realized, other.realized) if other.realized else one.realized,
        operation(one.funding, other.funding) if other.funding else one.funding,
        operation(one.fees, other.fees) if other.fees else one.fees,
        operation(one.other, other.other) if other.other else one.other,
        operation(one.volume, other.volume) if other.volume else one.volume,
        trade_count,
    )


def entry_activity(kind: str, amount: Decimal) -> Activity:
    """Say what a ledger entry counts as that no fill caused.

    Args:
        kind: Its type.
        amount: Signed units of its asset.

    Returns:
        Amounts in its asset.
    """
    if kind in _FLOWS:
        return Activity(net_flow=amount)
    if kind in _FEES:
        return Activity(fees=amount.copy_negate() if amount else ZERO)
    if kind == "funding":
        return Activity(funding=amount)
    return Activity(other=amount)


def fill_activity(
    market: Market,
    price: Decimal,
    amount: Decimal,
    quote_amount: Decimal,
    realized: Decimal,
    fees: Iterable[tuple[str, Decimal]],
) -> dict[str, Activity]:
    """Say what a fill counts as.

    Args:
        market: Where it was.
        price: In quote.
        amount: Units of base, or contracts; a voided fill has none and counts as nothing.
        quote_amount: Notional in quote.
        realized: Realised by it, gross, in the profit asset.
        fees: (asset, cost) pairs. One in the base of a spot market counts in quote at the fill's price, as the
            position counts it; every other in its own asset.

    Returns:
        Amounts by currency; the quote asset is always among them.
    """
    quote = Activity(volume=quote_amount, trade_count=1 if amount else 0)
    if market.profit_asset == market.quote:
        found = {market.quote: quote._replace(realized=realized)}
    else:
        found = {market.quote: quote}
        if realized:
            found[market.profit_asset] = Activity(realized=realized)
    for asset, cost in fees_by_asset(market, price, fees).items():
        found[asset] = found.get(asset, NONE)._replace(fees=cost)
    return found
