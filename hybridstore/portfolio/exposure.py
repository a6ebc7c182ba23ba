"""What an account depends on: allocation, exposure, leverage, margin, distance to liquidation. Pure.

Exposure is what a change of a price acts on, valued in the base currency:

- a balance, less what of it is borrowed, counts for its asset; the base currency itself is no exposure;
- a contract counts for its base asset with its notional at the price, inverse ones too; LONG is long, SHORT is short;
- a spot position is a view of a balance that is counted already; where the account has no balance of its base asset on
  record, the position stands for it and is counted.

Gross is long plus short, net is long less short. What has no price is named and is in no sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from hybridstore.portfolio.fill import cost_of
from hybridstore.portfolio.money import ONE, ZERO, add, divide, multiply, round_money, subtract, total
from hybridstore.portfolio.position import LONG
from hybridstore.portfolio.summary import OpenPosition, PortfolioSummary, price_of
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.records import Record


class PositionTerms(Record, frozen=True, gc=False):
    """What exposure needs to know of a position beside its value.

    Attributes:
        position_id: Its id.
        entry_cost: Exact cost of what is open: quote (linear) or base (inverse).
        contract_size: Units a contract.
        inverse: Whether profit is in the base asset.
        is_view: Whether it is a spot position whose balance is counted already.
        leverage: Leverage; None where it is not known.
        margin_mode: cross or isolated; None where it is not known.
        liquidation_price: Where the exchange would liquidate; None where it is not known.
    """

    position_id: str
    entry_cost: Decimal
    contract_size: Decimal
    inverse: bool
    is_view: bool
    leverage: Decimal | None
    margin_mode: str | None
    liquidation_price: Decimal | None


class Share(Record, frozen=True, gc=False):
    """What part of the equity an asset is.

    Attributes:
        asset: The asset: balances of it, and unrealised profit of contracts settled in it.
        value: What it is worth in the base currency; None where it has no price.
        share: value / equity, 18 places, half even; the largest value takes what rounding left, so that all shares
            add up to exactly 1. None without a value, and where equity is not above zero.
    """

    asset: str
    value: Decimal | None
    share: Decimal | None


class Sides(Record, frozen=True, gc=False):
    """Exposure to one asset, or through the positions of one market, in the base currency.

    Attributes:
        name: The asset or the market.
        long: What gains when the price rises.
        short: What gains when it falls; not negative.
        gross: long + short.
        net: long - short.
    """

    name: str
    long: Decimal
    short: Decimal
    gross: Decimal
    net: Decimal


class PositionRisk(Record, frozen=True, gc=False):
    """What is at stake in one position.

    Attributes:
        position_id: Its id.
        symbol: Its market.
        side: LONG or SHORT.
        notional: What it moves, at the price, in the base currency; None where that cannot be priced.
        leverage: Leverage; None where it is not known.
        margin_mode: cross or isolated; None where it is not known.
        margin_used: What it cost, over its leverage, in the base currency: the margin it was opened with. None where
            the leverage is not known or there is no price.
        liquidation_price: Where the exchange would liquidate; None where it is not known.
        liquidation_distance: What part of the price lies between it and the liquidation: 0.1 means that a LONG is
            liquidated 10 % lower, a SHORT 10 % higher; not above zero where the price is there already. None where one
            of them is not known.
    """

    position_id: str
    symbol: str
    side: str
    notional: Decimal | None
    leverage: Decimal | None
    margin_mode: str | None
    margin_used: Decimal | None
    liquidation_price: Decimal | None
    liquidation_distance: Decimal | None


class Exposure(Record, frozen=True, gc=False):
    """What an account depends on.

    Attributes:
        base_currency: What everything is priced in.
        equity: What the account is worth.
        gross: Sum of the gross exposures of all assets.
        net: Sum of their net exposures.
        leverage: gross / equity, 18 places, half even; None where equity is not above zero.
        margin_used: Sum over positions whose leverage is known.
        allocation: Parts of the equity, the largest value first.
        assets: Exposure to each asset, the largest first.
        markets: Exposure through the positions of each market, the largest first; views of balances are not in it.
        positions: What is at stake in each position.
        margin_unknown: Positions whose margin is not known.
        unpriced: What has no price and is in no sum.
    """

    base_currency: str
    equity: Decimal
    gross: Decimal
    net: Decimal
    leverage: Decimal | None
    margin_used: Decimal
    allocation: tuple[Share, ...]
    assets: tuple[Sides, ...]
    markets: tuple[Sides, ...]
    positions: tuple[PositionRisk, ...]
    margin_unknown: tuple[str, ...]
    unpriced: tuple[str, ...]


_Worth = Callable[[Decimal, str], Decimal | None]
"""Gives what an amount of an asset is worth in the base currency; None where it has no price."""


class _Counted(NamedTuple):
    """A position, its terms, what is at stake in it, and what it adds to which asset's part of the equity."""

    position: OpenPosition
    terms: PositionTerms
    risk: PositionRisk
    asset: str
    value: Decimal | None


def measure_exposure(
    summary: PortfolioSummary, terms: Iterable[PositionTerms], prices: Mapping[str, Decimal]
) -> Exposure:
    """Measure what an account depends on.

    Args:
        summary: What it is worth.
        terms: Of every position of the summary, in any order.
        prices: Price of each market by symbol, those the summary was made with.

    Returns:
        The exposure.

    Raises:
        KeyError: A position of the summary has no terms.
    """
    base_currency = summary.base_currency

    def worth(amount: Decimal, asset: str) -> Decimal | None:
        price = price_of(asset, base_currency, prices)
        return None if price is None else round_money(multiply(amount, price))

    known = {of.position_id: of for of in terms}
    counted = [_count(position, known[position.position_id], worth) for position in summary.positions]
    by_asset: dict[str, list[Decimal]] = {}
    by_market: dict[str, list[Decimal]] = {}
    for held in summary.assets:
        if held.asset != base_currency and held.value:
            by_asset.setdefault(held.asset, []).append(held.value)
    for position, of, risk, _, _ in counted:
        if risk.notional is not None and not of.is_view:
            signed = risk.notional if position.side == LONG else risk.notional.copy_negate()
            by_asset.setdefault(parse_symbol(position.symbol).base, []).append(signed)
            by_market.setdefault(position.symbol, []).append(signed)
    assets = _sides(by_asset)
    gross = total(sides.gross for sides in assets)
    risks = tuple(one.risk for one in counted)
    return Exposure(
        base_currency=base_currency,
        equity=summary.equity,
        gross=gross,
        net=total(sides.net for sides in assets),
        leverage=divide(gross, summary.equity) if summary.equity > 0 else None,
        margin_used=total(risk.margin_used or ZERO for risk in risks),
        allocation=_allocation(summary, counted),
        assets=assets,
        markets=_sides(by_market),
        positions=risks,
        margin_unknown=tuple(
            one.risk.position_id
            for one in counted
            if one.risk.margin_used is None and not parse_symbol(one.position.symbol).is_spot
        ),
        unpriced=summary.unpriced,
    )


def _count(position: OpenPosition, terms: PositionTerms, worth: _Worth) -> _Counted:
    market = parse_symbol(position.symbol)
    cost_asset = market.base if terms.inverse else market.quote
    notional = value = None
    price = position.mark_price
    if price is not None or not position.amount:
        moved = cost_of(price or ONE, position.amount, terms.contract_size, inverse=terms.inverse)
        notional = worth(moved, cost_asset)
    if terms.is_view:
        value = ZERO
    elif not market.is_spot:
        value = position.value
    elif notional is not None:
        value = notional if position.side == LONG else notional.copy_negate()
    margin = None
    if terms.leverage is not None and terms.leverage > 0:
        margin = worth(divide(terms.entry_cost, terms.leverage), cost_asset)
    risk = PositionRisk(
        position.position_id, position.symbol, position.side, notional, terms.leverage, terms.margin_mode, margin,
        terms.liquidation_price, _distance(position, terms.liquidation_price),
    )  # fmt: skip
    return _Counted(position, terms, risk, market.base if market.is_spot else market.profit_asset, value)


def _distance(position: OpenPosition, liquidation_price: Decimal | None) -> Decimal | None:
    price = position.mark_price
    if price is None or liquidation_price is None:
        return None
    left = subtract(price, liquidation_price)
    return divide(left if position.side == LONG else left.copy_negate(), price)


def _sides(signed: Mapping[str, Sequence[Decimal]]) -> tuple[Sides, ...]:
    """Add up what is long and what is short."""
    sides = []
    for name, values in signed.items():
        long = total(value for value in values if value > 0)
        short = total(value.copy_negate() for value in values if value < 0)
        sides.append(Sides(name, long, short, add(long, short), subtract(long, short)))
    return tuple(sorted(sides, key=lambda one: (one.gross.copy_negate(), one.name)))


def _allocation(summary: PortfolioSummary, counted: Iterable[_Counted]) -> tuple[Share, ...]:
    """Divide the equity by asset; the values add up to it, so the shares can add up to 1."""
    values: dict[str, Decimal] = {}
    unpriced = [held.asset for held in summary.assets if held.value is None]
    parts = [(held.asset, held.value) for held in summary.assets]
    parts += [(one.asset, one.value) for one in counted if one.value]
    for asset, value in parts:
        if value is not None:
            values[asset] = add(values.get(asset, ZERO), value)
    ranked = sorted(values.items(), key=lambda part: (part[1].copy_negate(), part[0]))
    shares: list[Decimal | None] = [None] * len(ranked)
    if summary.equity > 0:
        divided = [divide(value, summary.equity) for _, value in ranked]
        divided[0] = subtract(ONE, total(divided[1:]))
        shares = [*divided]
    return (
        *(Share(asset, value, share) for (asset, value), share in zip(ranked, shares, strict=True)),
        *(Share(asset, None, None) for asset in unpriced if asset not in values),
    )
