"""What an account is worth: balances and contract positions, priced through marks in one base currency.

Equity is what could be had now: every balance at its price, plus the unrealised profit of open contracts. A spot
position is a view of a balance that is counted already, so its profit is told but not added, unless the account holds
no balance of its base asset at all (a bot that records positions only); then the position stands for the holding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from hybridstore.portfolio.money import ONE, ZERO, add, divide, multiply, round_money
from hybridstore.portfolio.position import PositionState, unrealized_pnl
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.records import Record


class Holding(Record, frozen=True, gc=False):
    """One priced balance.

    Attributes:
        asset: The asset.
        amount: Units of it.
        price: Price in the base currency; None where no mark leads there.
        value: amount * price; None where there is no price.
    """

    asset: str
    amount: Decimal
    price: Decimal | None
    value: Decimal | None


class OpenPosition(Record, frozen=True, gc=False):
    """One valued position.

    Attributes:
        position_id: Its id.
        symbol: Its market.
        side: LONG or SHORT.
        amount: Units of base, or contracts.
        entry_price: Average entry, in quote.
        mark_price: Last mark, in quote; None where none is known.
        unrealized_pnl: In the settle asset.
        value: unrealized_pnl in the base currency; None where it cannot be priced.
    """

    position_id: str
    symbol: str
    side: str
    amount: Decimal
    entry_price: Decimal
    mark_price: Decimal | None
    unrealized_pnl: Decimal
    value: Decimal | None


class PortfolioSummary(Record, frozen=True, gc=False):
    """What an account is worth.

    Attributes:
        account: Whose.
        base_currency: What everything is priced in.
        equity: cash + positions_value.
        cash: Value of all priced balances.
        positions_value: Unrealised profit of contracts, and the worth of spot positions that no balance holds.
        unrealized_pnl: Unrealised profit of every open position, spot included.
        realized_pnl: Realised by open positions so far, gross of fees.
        fees: Fees of open positions so far.
        assets: Every balance that is not zero.
        positions: Every open position.
        unpriced: Assets and symbols without a price; they are in none of the sums.
    """

    account: str
    base_currency: str
    equity: Decimal
    cash: Decimal
    positions_value: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    fees: Decimal
    assets: tuple[Holding, ...]
    positions: tuple[OpenPosition, ...]
    unpriced: tuple[str, ...]


def price_of(asset: str, base_currency: str, marks: Mapping[str, Decimal]) -> Decimal | None:
    """Find an asset's price through the marks.

    Args:
        asset: What to price.
        base_currency: In what.
        marks: Price of each market, by symbol.

    Returns:
        1 for the base currency itself, the mark of ASSET/BASE (else of the contract settled in base), or one over the
        mark of BASE/ASSET; None where there is none.
    """
    if asset == base_currency:
        return ONE
    spot, contract, inverted = price_symbols(asset, base_currency)
    if spot in marks or contract in marks:
        return marks.get(spot, marks.get(contract))
    other = marks.get(inverted)
    return divide(ONE, other) if other else None


def price_symbols(asset: str, base_currency: str) -> tuple[str, str, str]:
    """Return the markets that can price an asset.

    Args:
        asset: What to price.
        base_currency: In what.

    Returns:
        The spot market, the contract settled in the base currency, and the spot market the other way round.
    """
    return f"{asset}/{base_currency}", f"{asset}/{base_currency}:{base_currency}", f"{base_currency}/{asset}"


def summarize(
    account: str,
    balances: Mapping[str, Decimal],
    positions: Iterable[tuple[str, str, PositionState]],
    marks: Mapping[str, Decimal],
    base_currency: str,
) -> PortfolioSummary:
    """Value an account.

    Args:
        account: Whose.
        balances: Total of each asset.
        positions: (position_id, symbol, state) of each open position.
        marks: Price of each market, by symbol; a position's own mark serves where the market has none.
        base_currency: What to price everything in.

    Returns:
        The summary. What has no price is named in ``unpriced`` and left out of the sums.
    """
    valued = list(positions)
    prices = {symbol: state.mark_price for _, symbol, state in valued if state.mark_price is not None}
    prices |= marks
    unpriced: list[str] = []
    assets = tuple(
        _hold(asset, amount, base_currency, prices, unpriced) for asset, amount in balances.items() if amount
    )
    cash = positions_value = unrealized = realized = fees = ZERO
    for holding in assets:
        cash = add(cash, holding.value or ZERO)
    opened = []
    for position_id, symbol, state in valued:
        market = parse_symbol(symbol)
        mark = prices.get(symbol)
        profit = unrealized_pnl(state, mark)
        rate = price_of(market.profit_asset, base_currency, prices)
        value = None if rate is None or mark is None else round_money(multiply(profit, rate))
        opened.append(
            OpenPosition(
                position_id, symbol, state.side, state.amount, state.entry_price, mark, profit, value
            )
        )
        if value is None or rate is None or mark is None:
            unpriced.append(symbol)
            continue
        unrealized = add(unrealized, value)
        realized = add(realized, round_money(multiply(state.realized_pnl, rate)))
        quote_rate = price_of(market.quote, base_currency, prices) or ZERO
        fees = add(fees, round_money(multiply(state.fees, quote_rate)))
        if not market.is_spot:
            positions_value = add(positions_value, value)
        elif market.base not in balances:
            worth = round_money(multiply(multiply(state.amount, mark), rate))
            positions_value = add(positions_value, worth)
    return PortfolioSummary(
        account, base_currency, add(cash, positions_value), cash, positions_value, unrealized, realized, fees,
        assets, tuple(opened), tuple(dict.fromkeys(unpriced)),
    )  # fmt: skip


def _hold(
    asset: str, amount: Decimal, base_currency: str, prices: Mapping[str, Decimal], unpriced: list[str]
) -> Holding:
    price = price_of(asset, base_currency, prices)
    if price is None:
        unpriced.append(asset)
        return Holding(asset, amount, None, None)
    return Holding(asset, amount, price, round_money(multiply(amount, price)))
