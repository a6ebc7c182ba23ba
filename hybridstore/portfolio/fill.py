"""What a fill is to arithmetic: its cost, its parts, and what its fees come to."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.money import ONE, ZERO, add, divide, multiply, round_money, share, subtract
from hybridstore.portfolio.symbols import Market


class FillInput(NamedTuple):
    """What arithmetic needs to know of a fill.

    Attributes:
        side: buy or sell.
        price: In quote.
        amount: Units of base, or contracts.
        contract_size: Units a contract.
        inverse: Whether profit is in the base asset.
        fee_in_quote: What is known of the fees in quote, a fee in base included; a rebate is negative.
        fee_in_base: What of it was paid in the base asset of a spot market: such a fee is a sale of that much base at
            the fill's price, so that a position holds what its account holds.
        cost: What it cost as the exchange says, in quote (linear) or base (inverse); None computes it.
        is_liquidation: Whether the exchange forced it.
    """

    side: str
    price: Decimal
    amount: Decimal
    contract_size: Decimal = ONE
    inverse: bool = False
    fee_in_quote: Decimal = ZERO
    fee_in_base: Decimal = ZERO
    cost: Decimal | None = None
    is_liquidation: bool = False


class FeeTotals(NamedTuple):
    """What the fees of one fill come to.

    Attributes:
        in_quote: All of them in quote; None where one is in a third asset.
        known_in_quote: Those that can be said in quote; what a position is charged.
        in_base: Those paid in the base asset of a spot market, in base; zero for contracts, which hold none.
    """

    in_quote: Decimal | None
    known_in_quote: Decimal
    in_base: Decimal


def cost_of(price: Decimal, amount: Decimal, contract_size: Decimal, *, inverse: bool) -> Decimal:
    """Return what an amount costs at a price.

    Args:
        price: In quote.
        amount: Units of base, or contracts.
        contract_size: Units a contract.
        inverse: Whether the cost is in base.

    Returns:
        Quote (linear; exact up to 18 places) or base (inverse; 18 places, half even).

    Raises:
        InvalidValue: An inverse contract at a price that is not positive.
    """
    units = multiply(amount, contract_size)
    if not inverse:
        return round_money(multiply(price, units))
    if price <= 0:
        raise InvalidValue(f"price={price}: an inverse contract has no value at a price that is not positive")
    return divide(units, price)


def fill_cost(fill: FillInput) -> Decimal:
    """Return what a fill cost.

    Args:
        fill: The fill.

    Returns:
        Quote (linear) or base (inverse).
    """
    if fill.cost is not None:
        return fill.cost
    return cost_of(fill.price, fill.amount, fill.contract_size, inverse=fill.inverse)


def split_fill(fill: FillInput, amount: Decimal) -> tuple[FillInput, FillInput]:
    """Split a fill in two, whose costs and fees add up to the fill's exactly.

    Args:
        fill: The fill.
        amount: How much goes into the first part; more than zero and less than the fill's.

    Returns:
        The part of that amount, and the rest.
    """
    _, price, whole, contract_size, inverse, fee, base_fee, given, _ = fill
    if given is None:
        cost = cost_of(price, whole, contract_size, inverse=inverse)
        part = cost_of(price, amount, contract_size, inverse=inverse)
    else:
        cost, part = given, share(given, amount, whole)
    fee_part = share(fee, amount, whole) if fee else fee
    base_part = share(base_fee, amount, whole) if base_fee else base_fee
    first = fill._replace(amount=amount, cost=part, fee_in_quote=fee_part, fee_in_base=base_part)
    rest = fill._replace(
        amount=subtract(whole, amount),
        cost=subtract(cost, part),
        fee_in_quote=subtract(fee, fee_part),
        fee_in_base=subtract(base_fee, base_part),
    )
    return first, rest


def fees_by_asset(market: Market, price: Decimal, fees: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Add up the fees of a fill by the asset they count in.

    Args:
        market: Where it was.
        price: Its price, in quote.
        fees: (asset, cost) pairs; a negative cost is a rebate.

    Returns:
        Sums that are not zero. What was paid in the base of a spot market is a sale of it: it counts in quote at the
        fill's price, rounded once to 18 places, half even.
    """
    sums: dict[str, Decimal] = {}
    for asset, cost in fees:
        sums[asset] = add(sums[asset], cost) if asset in sums else cost
    if market.is_spot and market.base in sums:
        in_quote = round_money(multiply(price, sums.pop(market.base)))
        sums[market.quote] = add(sums.get(market.quote, ZERO), in_quote)
    return {asset: cost for asset, cost in sums.items() if cost}


def net_pnl(
    market: Market, price: Decimal, realized: Decimal, fees: Iterable[tuple[str, Decimal]]
) -> Decimal | None:
    """Return what a fill realised net of its fees.

    Args:
        market: Where it was.
        price: Its price, in quote.
        realized: Realised by it, gross, in the profit asset.
        fees: (asset, cost) pairs.

    Returns:
        Units of the profit asset; None where a fee is in another asset than it can be taken from.
    """
    sums = fees_by_asset(market, price, fees)
    paid = sums.pop(market.profit_asset, ZERO)
    return None if sums else subtract(realized, paid)


def fee_totals(market: Market, price: Decimal, fees: Iterable[tuple[str, Decimal]]) -> FeeTotals:
    """Add up the fees of a fill.

    Args:
        market: Where it was.
        price: Its price, in quote.
        fees: (asset, cost) pairs; a negative cost is a rebate.

    Returns:
        The totals. A fee in base counts at the fill's price, rounded once to 18 places, half even.
    """
    quote = base = ZERO
    complete = True
    for asset, cost in fees:
        if asset == market.base:
            base = add(base, cost)
        elif asset == market.quote:
            quote = add(quote, cost)
        else:
            complete = False
    known = add(quote, round_money(multiply(price, base))) if base else quote
    return FeeTotals(known if complete else None, known, base if market.is_spot else ZERO)
