"""Positions from fills: running average cost, realised and unrealised profit, excursions.

What is open is carried at its exact cost, not at its average price: a partial close takes out its share of the cost,
rounded to 18 places, and leaves the rest. So over the life of a position realised profit is exactly what came in less
what went out, whatever the averages rounded to.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from hybridstore.errors import InvalidValue
from hybridstore.portfolio.money import ONE, ZERO, add, divide, multiply, round_money, subtract

LONG, SHORT = "LONG", "SHORT"
OPEN, CLOSED = "OPEN", "CLOSED"


class PositionState(msgspec.Struct, frozen=True, gc=False):
    """What arithmetic needs to know of a position.

    Attributes:
        side: LONG or SHORT.
        status: OPEN or CLOSED.
        amount: Units of base, or contracts; zero when closed.
        entry_price: Average entry at 18 places (harmonic for inverse contracts).
        entry_cost: Exact cost of what is open: in quote (linear) or base (inverse).
        contract_size: Units of base (linear) or quote (inverse) a contract.
        inverse: Whether profit is in the base asset.
        mark_price: Last mark, in quote.
        realized_pnl: Realised, gross of fees and funding, in the settle asset.
        fees: Fees paid, in quote; rebates are negative.
        funding: Funding received (+) or paid (-).
        peak_amount: Largest amount it ever had.
        max_favourable: Largest unrealised profit seen.
        max_adverse: Largest unrealised loss seen, not positive.
    """

    side: str
    status: str
    amount: Decimal
    entry_price: Decimal
    entry_cost: Decimal
    contract_size: Decimal = ONE
    inverse: bool = False
    mark_price: Decimal | None = None
    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    peak_amount: Decimal = ZERO
    max_favourable: Decimal = ZERO
    max_adverse: Decimal = ZERO


class FillInput(NamedTuple):
    """What arithmetic needs to know of a fill.

    Attributes:
        side: buy or sell.
        price: In quote.
        amount: Units of base, or contracts.
        contract_size: Units a contract.
        inverse: Whether profit is in the base asset.
        fee_in_quote: Fees in quote, zero where unknown.
    """

    side: str
    price: Decimal
    amount: Decimal
    contract_size: Decimal = ONE
    inverse: bool = False
    fee_in_quote: Decimal = ZERO


class PositionEvent(NamedTuple):
    """One change of a position.

    Attributes:
        kind: open, increase, reduce, close, flip.
        amount_delta: Change of the amount.
        price: At which price.
        amount_after: Amount afterwards.
        entry_after: Average entry afterwards.
        realized_delta: Realised by it, gross.
    """

    kind: str
    amount_delta: Decimal
    price: Decimal
    amount_after: Decimal
    entry_after: Decimal
    realized_delta: Decimal


class PositionChange(NamedTuple):
    """What a fill did.

    Attributes:
        before: The position as it is now where it existed before: changed, or closed.
        before_event: What happened to it.
        opened: A position the fill opened: the first, or the other side of a flip; it needs an id of its own.
        opened_event: What happened to that one.
        realized_delta: Realised by the fill, gross.
    """

    before: PositionState | None
    before_event: PositionEvent | None
    opened: PositionState | None
    opened_event: PositionEvent | None
    realized_delta: Decimal


def cost_of(price: Decimal, amount: Decimal, contract_size: Decimal, *, inverse: bool) -> Decimal:
    """Return what an amount costs at a price.

    Args:
        price: In quote.
        amount: Units of base, or contracts.
        contract_size: Units a contract.
        inverse: Whether the cost is in base.

    Returns:
        Quote (linear; exact) or base (inverse; 18 places, half even).
    """
    units = multiply(amount, contract_size)
    return divide(units, price) if inverse else round_money(multiply(price, units))


def open_position(side: str, fill: FillInput) -> PositionState:
    """Open a position.

    Args:
        side: LONG or SHORT.
        fill: At which price, how much.

    Returns:
        The position.

    Raises:
        InvalidValue: The side is neither LONG nor SHORT.
    """
    if side not in (LONG, SHORT):
        raise InvalidValue(f"side={side!r}: a position is LONG or SHORT")
    return PositionState(
        side=side,
        status=OPEN,
        amount=fill.amount,
        entry_price=fill.price,
        entry_cost=cost_of(fill.price, fill.amount, fill.contract_size, inverse=fill.inverse),
        contract_size=fill.contract_size,
        inverse=fill.inverse,
        fees=fill.fee_in_quote,
        peak_amount=fill.amount,
    )


def apply_fill(position: PositionState | None, fill: FillInput) -> PositionChange:
    """Apply a fill: open, increase, reduce, close or flip.

    Args:
        position: The open position of the market, or None.
        fill: The fill.

    Returns:
        What it did. A flip charges the whole fee to the position that is closed.

    Raises:
        InvalidValue: The fill's contract is not the position's.
    """
    side = LONG if fill.side == "buy" else SHORT
    if position is None:
        opened = open_position(side, fill)
        return PositionChange(None, None, opened, _event("open", fill.amount, fill, opened, ZERO), ZERO)
    if position.contract_size != fill.contract_size or position.inverse != fill.inverse:
        raise InvalidValue(
            f"contract_size={fill.contract_size} inverse={fill.inverse}: the open position has "
            f"contract_size={position.contract_size} inverse={position.inverse}"
        )
    if position.side == side:
        increased = _increase(position, fill)
        return PositionChange(
            increased, _event("increase", fill.amount, fill, increased, ZERO), None, None, ZERO
        )
    return _reduce(position, fill, side)


def _increase(position: PositionState, fill: FillInput) -> PositionState:
    amount = add(position.amount, fill.amount)
    cost = add(
        position.entry_cost, cost_of(fill.price, fill.amount, fill.contract_size, inverse=fill.inverse)
    )
    return msgspec.structs.replace(
        position,
        amount=amount,
        entry_cost=cost,
        entry_price=_average(amount, cost, position.contract_size, inverse=position.inverse),
        fees=add(position.fees, fill.fee_in_quote),
        peak_amount=max(position.peak_amount, amount),
    )


def _reduce(position: PositionState, fill: FillInput, side: str) -> PositionChange:
    closing = min(fill.amount, position.amount)
    rest = subtract(position.amount, closing)
    taken = (
        position.entry_cost if not rest else divide(multiply(position.entry_cost, closing), position.amount)
    )
    got = cost_of(fill.price, closing, position.contract_size, inverse=position.inverse)
    # A linear long earns what it got above its cost; an inverse long earns base when it gives fewer coins back.
    realized = (
        subtract(got, taken) if (position.side == LONG) is not position.inverse else subtract(taken, got)
    )
    before = msgspec.structs.replace(
        position,
        status=OPEN if rest else CLOSED,
        amount=rest,
        entry_cost=subtract(position.entry_cost, taken),
        realized_pnl=add(position.realized_pnl, realized),
        fees=add(position.fees, fill.fee_in_quote),
    )
    left = subtract(fill.amount, closing)
    if not left:
        kind = "reduce" if rest else "close"
        return PositionChange(
            before, _event(kind, closing.copy_negate(), fill, before, realized), None, None, realized
        )
    opened = open_position(side, fill._replace(amount=left, fee_in_quote=ZERO))
    return PositionChange(
        before,
        _event("flip", closing.copy_negate(), fill, before, realized),
        opened,
        _event("open", left, fill, opened, ZERO),
        realized,
    )


def _average(amount: Decimal, cost: Decimal, contract_size: Decimal, *, inverse: bool) -> Decimal:
    units = multiply(amount, contract_size)
    return divide(units, cost) if inverse else divide(cost, units)


def _event(
    kind: str, delta: Decimal, fill: FillInput, after: PositionState, realized: Decimal
) -> PositionEvent:
    return PositionEvent(kind, delta, fill.price, after.amount, after.entry_price, realized)


def unrealized_pnl(position: PositionState, mark: Decimal | None) -> Decimal:
    """Return the profit a position would realise at a price.

    Args:
        position: The position.
        mark: The price, in quote; None counts as no profit because the price is not known.

    Returns:
        Quote (linear) or base (inverse).
    """
    if mark is None or not position.amount:
        return ZERO
    worth = cost_of(mark, position.amount, position.contract_size, inverse=position.inverse)
    if (position.side == LONG) is not position.inverse:
        return subtract(worth, position.entry_cost)
    return subtract(position.entry_cost, worth)


def apply_mark(position: PositionState, mark: Decimal) -> PositionState:
    """Take note of a price: the mark and the best and worst it has been.

    Args:
        position: An open position.
        mark: The price, in quote.

    Returns:
        The position; the same object where nothing changed.
    """
    if mark == position.mark_price:
        return position
    profit = unrealized_pnl(position, mark)
    return msgspec.structs.replace(
        position,
        mark_price=mark,
        max_favourable=max(position.max_favourable, profit),
        max_adverse=min(position.max_adverse, profit),
    )


def apply_funding(position: PositionState, amount: Decimal) -> PositionState:
    """Book a funding payment.

    Args:
        position: An open position.
        amount: Received (+) or paid (-), in the settle asset.

    Returns:
        The position.
    """
    return msgspec.structs.replace(position, funding=add(position.funding, amount))
