"""A position at a moment: from its row, or from the sum of its events.

Events are dated when they happened, also those that were told late, so at a moment the sums can be what no order of
telling gave: a late sale may make them negative before the position was opened (it is told as the other side), or leave
cost without amount (which is profit or loss already). Profit is right in each case: what the amount is worth, less what
it cost.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from hybridstore.books.prices import Price, plain_money
from hybridstore.portfolio.fill import cost_of
from hybridstore.portfolio.money import ZERO, add, divide, multiply, subtract
from hybridstore.portfolio.position import CLOSED, LONG, OPEN, SHORT
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.records import Record


class PositionAt(Record, frozen=True, gc=False):
    """A position at a moment.

    Attributes:
        position_id: Its id.
        account: Whose.
        symbol: Its market.
        side: LONG or SHORT.
        status: OPEN or CLOSED, then.
        amount: Units of base, or contracts; never negative.
        entry_price: Average entry, in quote; None where nothing is open.
        entry_cost: Exact cost of what is open: quote (linear) or base (inverse).
        price: What it is valued by, in quote; None where no price is known.
        price_source: Where that is known from; see :class:`hybridstore.books.prices.Price`.
        priced_at: The moment the price is of.
        unrealized_pnl: Profit it would realise at the price, in ``profit_asset``; None where no price is known.
        realized_pnl: Realised until then, gross of fees, in ``profit_asset``.
        fees: Fees until then, in quote.
        funding: Funding until then, received (+) or paid (-), in ``profit_asset``.
        profit_asset: What profit is in.
        contract_size: Units a contract.
        inverse: Whether profit is in the base asset.
        leverage: Leverage; None where it is not known, also because it may have been changed since.
        margin_mode: cross or isolated; None like ``leverage``.
        liquidation_price: Where the exchange would liquidate; None where it is not known, also because something
            happened to the position since.
        opened_at: When it was opened, UTC.
        changed_at: When something last happened to it, UTC.
        closed_at: When it was closed, UTC.
        strategy: The strategy that acted.
        bot: The bot that acted.
    """

    position_id: str
    account: str
    symbol: str
    side: str
    status: str
    amount: Decimal
    entry_price: Decimal | None
    entry_cost: Decimal
    price: Decimal | None
    price_source: str | None
    priced_at: datetime | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    profit_asset: str
    contract_size: Decimal
    inverse: bool
    leverage: Decimal | None
    margin_mode: str | None
    liquidation_price: Decimal | None
    opened_at: datetime
    changed_at: datetime
    closed_at: datetime | None
    strategy: str | None
    bot: str | None


class Stored(NamedTuple):
    """A row of ``positions``, as far as it is needed."""

    position_id: str
    account: str
    symbol: str
    side: str
    status: str
    amount: Decimal
    entry_price: Decimal
    entry_cost: Decimal
    mark_price: Decimal | None
    contract_size: Decimal
    inverse: bool
    leverage: Decimal | None
    margin_mode: str | None
    liquidation_price: Decimal | None
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    strategy: str | None
    bot: str | None


class Sums(NamedTuple):
    """Sums of a position's events, and when the last of them was."""

    amount: Decimal
    cost: Decimal
    realized: Decimal
    fees: Decimal
    funding: Decimal
    changed_at: datetime

    def __bool__(self) -> bool:
        """Whether something is open, be it only cost."""
        return bool(self.amount or self.cost)

    def plus(self, other: Sums) -> Sums:
        """Return the sums with those of later events added."""
        return Sums(
            add(self.amount, other.amount),
            add(self.cost, other.cost),
            add(self.realized, other.realized),
            add(self.fees, other.fees),
            add(self.funding, other.funding),
            other.changed_at,
        )


def as_stored(row: Stored) -> PositionAt:
    """Return a position as it is now, not yet valued.

    Args:
        row: Its row.

    Returns:
        The position.
    """
    return _unvalued(
        row, row.side, row.status, row.amount, row.entry_price, row.entry_cost,
        (row.realized_pnl, row.fees, row.funding), row.updated_at, row.closed_at,
    )  # fmt: skip


def as_summed(row: Stored, sums: Sums) -> PositionAt:
    """Return a position as its events add up, not yet valued.

    Args:
        row: Its row: what events do not say.
        sums: Sums of its events.

    Returns:
        The position. Where the sums are negative it is told as the other side.
    """
    side, amount, cost = row.side, sums.amount, sums.cost
    if amount < 0:
        side = SHORT if side == LONG else LONG
        amount, cost = amount.copy_negate(), cost.copy_negate()
    units = multiply(amount, row.contract_size)
    entry = None
    if (amount, cost) == (row.amount, row.entry_cost) and amount:
        entry = row.entry_price  # the average of what was bought, where its cost was rounded since
    elif row.inverse and cost > 0:
        entry = plain_money(divide(units, cost))
    elif amount and not row.inverse:
        entry = plain_money(divide(cost, units))
    closed_at = None if sums else sums.changed_at
    return _unvalued(
        row, side, OPEN if sums else CLOSED, amount, entry, cost, (sums.realized, sums.fees, sums.funding),
        sums.changed_at, closed_at,
    )  # fmt: skip


def _unvalued(
    row: Stored,
    side: str,
    status: str,
    amount: Decimal,
    entry_price: Decimal | None,
    entry_cost: Decimal,
    so_far: tuple[Decimal, Decimal, Decimal],
    changed_at: datetime,
    closed_at: datetime | None,
) -> PositionAt:
    return PositionAt(
        row.position_id, row.account, row.symbol, side, status, amount, entry_price, entry_cost, None, None, None, None,
        *so_far, parse_symbol(row.symbol).profit_asset, row.contract_size, row.inverse, row.leverage, row.margin_mode,
        row.liquidation_price, row.opened_at, changed_at, closed_at, row.strategy, row.bot,
    )  # fmt: skip


def valued(position: PositionAt, price: Price | None) -> PositionAt:
    """Value a position.

    Args:
        position: The position.
        price: The price of its market; None where there is none.

    Returns:
        The position with its profit at that price; it needs no price where it has no amount.
    """
    worth = ZERO
    if position.amount:
        if price is None:
            return position
        worth = cost_of(price.price, position.amount, position.contract_size, inverse=position.inverse)
    cost = position.entry_cost
    gains_by_worth = (position.side == LONG) is not position.inverse
    profit = subtract(worth, cost) if gains_by_worth else subtract(cost, worth)
    if price is None:
        return msgspec.structs.replace(position, unrealized_pnl=profit)
    return msgspec.structs.replace(
        position,
        unrealized_pnl=profit,
        price=price.price,
        price_source=price.source,
        priced_at=price.priced_at,
    )
