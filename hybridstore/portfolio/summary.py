"""What an account is worth: balances and contract positions, priced through marks in one base currency.

Equity is what could be had now, counted once:

- every balance, less what of it is borrowed, at its price (``cash``);
- plus the unrealised profit of contracts (symbols with a settle asset), converted from the settle asset;
- a spot position is a view of a balance that is counted already: its profit is told but not added. Only where the
  account has no balance of its base asset on record, not even zero (a bot that records positions only), the position
  stands for the holding: its amount at the mark is added, for a SHORT as a debt.

Prices come from marks; a position's own mark serves where its market has none. What cannot be priced is named in
``unpriced`` and is in no sum; it never counts as zero in silence.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from decimal import Decimal

from hybridstore.portfolio.fill import cost_of
from hybridstore.portfolio.money import ONE, ZERO, add, divide, multiply, round_money, subtract, total
from hybridstore.portfolio.position import LONG, PositionState, unrealized_pnl
from hybridstore.portfolio.symbols import Market, parse_symbol
from hybridstore.records import Record


class Holding(Record, frozen=True, gc=False):
    """One priced balance.

    Attributes:
        asset: The asset.
        amount: Units of it, borrowed ones included.
        price: Price in the base currency; None where no mark leads there.
        value: (amount - debt) * price; None where there is no price.
        debt: Units of it that are borrowed.
    """

    asset: str
    amount: Decimal
    price: Decimal | None
    value: Decimal | None
    debt: Decimal = ZERO


class OpenPosition(Record, frozen=True, gc=False):
    """One valued position.

    Attributes:
        position_id: Its id.
        symbol: Its market.
        side: LONG or SHORT.
        amount: Units of base, or contracts.
        entry_price: Average entry, in quote.
        mark_price: Last mark, in quote; None where none is known.
        unrealized_pnl: In the settle asset; None where no mark is known.
        value: unrealized_pnl in the base currency; None where it cannot be priced.
    """

    position_id: str
    symbol: str
    side: str
    amount: Decimal
    entry_price: Decimal
    mark_price: Decimal | None
    unrealized_pnl: Decimal | None
    value: Decimal | None


class PortfolioSummary(Record, frozen=True, gc=False):
    """What an account is worth.

    Attributes:
        account: Whose.
        base_currency: What everything is priced in.
        equity: cash + positions_value.
        cash: Value of all priced balances, less what is borrowed.
        positions_value: Unrealised profit of contracts, and the worth of spot positions that no balance holds.
        unrealized_pnl: Unrealised profit of every open position, spot included.
        realized_pnl: Realised by open positions so far, gross of fees.
        fees: Fees of open positions so far.
        funding: Funding of open positions so far, received (+) or paid (-).
        debt: Value of what is borrowed; it is in ``cash`` already.
        assets: Every balance that is not zero, and every debt.
        positions: Every open position.
        unpriced: Assets without a price and symbols without a mark; what depends on them is in none of the sums.
    """

    account: str
    base_currency: str
    equity: Decimal
    cash: Decimal
    positions_value: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    debt: Decimal
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
        1 for the base currency itself; else the first mark there is of :func:`price_symbols`, that of BASE/ASSET
        divided into 1 (18 places, half even); None where there is none.
    """
    if asset == base_currency:
        return ONE
    symbols = price_symbols(asset, base_currency)
    for symbol in symbols[:-1]:
        mark = marks.get(symbol)
        if mark is not None:
            return mark
    other = marks.get(symbols[-1])
    return divide(ONE, other) if other else None


@functools.lru_cache(maxsize=4096)
def price_symbols(asset: str, base_currency: str) -> tuple[str, str, str, str]:
    """Return the markets that can price an asset, the best first.

    Args:
        asset: What to price.
        base_currency: In what.

    Returns:
        The spot market, the contracts settled in the base currency and in the asset, and the spot market the other
        way round.
    """
    direct = f"{asset}/{base_currency}"
    return direct, f"{direct}:{base_currency}", f"{direct}:{asset}", f"{base_currency}/{asset}"


def summarize(
    account: str,
    balances: Mapping[str, Decimal],
    positions: Iterable[tuple[str, str, PositionState]],
    marks: Mapping[str, Decimal],
    base_currency: str,
    debts: Mapping[str, Decimal] | None = None,
) -> PortfolioSummary:
    """Value an account; the head of this module says what counts.

    Args:
        account: Whose.
        balances: Total of each asset, what is borrowed included.
        positions: (position_id, symbol, state) of each open position.
        marks: Price of each market, by symbol.
        base_currency: What to price everything in.
        debts: What is borrowed of each asset; one that is not named has no debt.

    Returns:
        The summary. What has no price is named in ``unpriced`` and left out of the sums.
    """
    valued = list(positions)
    known = {symbol: state.mark_price for _, symbol, state in valued if state.mark_price is not None}
    known |= marks
    prices = _Prices(base_currency, known)
    assets = _holdings(balances, debts or {}, prices)
    cash = total(held.value or ZERO for held in assets)
    debt = total(prices.convert(held.debt, held.asset) or ZERO for held in assets if held.debt)
    positions_value = unrealized = realized = fees = funding = ZERO
    opened = []
    for position_id, symbol, state in valued:
        market = parse_symbol(symbol)
        mark = known.get(symbol)
        profit = value = None
        if mark is None:
            prices.missing[symbol] = None
        else:
            profit = unrealized_pnl(state, mark)
            value = prices.convert(profit, market.profit_asset)
            if value:
                unrealized = add(unrealized, value)
            if market.settle is not None:
                positions_value = add(positions_value, value) if value else positions_value
            elif market.base not in balances:
                worth = prices.convert(_holding_worth(state, mark), market.quote)
                positions_value = add(positions_value, worth or ZERO)
        opened.append(
            OpenPosition(
                position_id, symbol, state.side, state.amount, state.entry_price, mark, profit, value
            )
        )
        if state.realized_pnl:  # most positions have no profit yet, or no funding, or no fees
            realized = add(realized, prices.convert(state.realized_pnl, market.profit_asset) or ZERO)
        if state.funding:
            funding = add(funding, prices.convert(state.funding, market.profit_asset) or ZERO)
        if state.fees:
            fees = add(fees, prices.convert(*_fees(state, market, mark, prices)) or ZERO)
    return PortfolioSummary(
        account, base_currency, add(cash, positions_value), cash, positions_value, unrealized, realized, fees,
        funding, debt, tuple(assets), tuple(opened), tuple(prices.missing),
    )  # fmt: skip


def _holdings(
    balances: Mapping[str, Decimal], debts: Mapping[str, Decimal], prices: _Prices
) -> list[Holding]:
    held = []
    owed = {asset: ZERO for asset in debts if asset not in balances}
    for asset, amount in {**balances, **owed}.items() if owed else balances.items():
        debt = debts.get(asset, ZERO) if debts else ZERO
        if amount or debt:
            price = prices.of(asset)
            net = subtract(amount, debt) if debt else amount
            if not net:
                value: Decimal | None = ZERO
            elif price is None:
                value = prices.missing[asset] = None
            else:
                value = round_money(multiply(net, price))
            held.append(Holding(asset, amount, price, value, debt))
    return held


class _Prices:
    """Prices in one base currency, each looked up once, and a list of those there were not.

    Args:
        base_currency: What to price in.
        marks: Price of each market, by symbol.
    """

    def __init__(self, base_currency: str, marks: Mapping[str, Decimal]) -> None:
        self.missing: dict[str, None] = {}
        self._base_currency = base_currency
        self._marks = marks
        self._found: dict[str, Decimal | None] = {base_currency: ONE}

    def of(self, asset: str) -> Decimal | None:
        """Return an asset's price, or None."""
        try:
            return self._found[asset]
        except KeyError:
            price = self._found[asset] = price_of(asset, self._base_currency, self._marks)
            return price

    def convert(self, amount: Decimal, asset: str) -> Decimal | None:
        """Return what an amount is worth, or None and note the asset as missing."""
        if not amount:
            return ZERO
        price = self.of(asset)
        if price is None:
            self.missing[asset] = None
            return None
        return amount if price is ONE else round_money(multiply(amount, price))


def _fees(state: PositionState, market: Market, mark: Decimal | None, prices: _Prices) -> tuple[Decimal, str]:
    """Return fees in an asset with a price: the quote of an inverse contract (USD) may have none but by its mark."""
    if market.inverse and state.fees and mark and prices.of(market.quote) is None:
        return divide(state.fees, mark), market.base
    return state.fees, market.quote


def _holding_worth(state: PositionState, mark: Decimal) -> Decimal:
    worth = cost_of(mark, state.amount, state.contract_size, inverse=False)
    return worth if state.side == LONG else worth.copy_negate()
