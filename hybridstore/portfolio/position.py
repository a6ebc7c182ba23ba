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
from hybridstore.portfolio.fill import FillInput, cost_of, fill_cost, split_fill
from hybridstore.portfolio.money import ONE, ZERO, add, divide, multiply, share, subtract

LONG, SHORT = "LONG", "SHORT"
OPEN, CLOSED = "OPEN", "CLOSED"


class PositionState(msgspec.Struct, frozen=True, gc=False):
    """What arithmetic needs to know of a position.

    Attributes:
        side: LONG or SHORT.
        status: OPEN or CLOSED.
        amount: Units of base, or contracts; zero when closed.
        entry_price: Average entry at 18 places (harmonic for inverse contracts); the last one when closed.
        entry_cost: Exact cost of what is open: in quote (linear) or base (inverse).
        contract_size: Units of base (linear) or quote (inverse) a contract.
        inverse: Whether profit is in the base asset.
        mark_price: Last mark, in quote.
        realized_pnl: Realised, gross of fees and funding, in the settle asset.
        fees: Fees paid, in quote; rebates are negative.
        funding: Funding received (+) or paid (-), in the settle asset.
        peak_amount: Largest amount it ever had.
        max_favourable: Largest unrealised profit seen at a mark.
        max_adverse: Largest unrealised loss seen at a mark, not positive.
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


class PositionEvent(NamedTuple):
    """One change of a position.

    Attributes:
        kind: open, increase, reduce, close, flip, liquidate, funding, adjust.
        amount_delta: Change of the amount.
        price: At which price; None where it has none.
        amount_after: Amount afterwards.
        entry_after: Average entry afterwards.
        realized_delta: Realised by it, gross.
        cost_delta: Change of the exact cost of what is open.
        fees_delta: Fees of it, in quote.
        funding_delta: Funding of it.
    """

    kind: str
    amount_delta: Decimal
    price: Decimal | None
    amount_after: Decimal
    entry_after: Decimal
    realized_delta: Decimal
    cost_delta: Decimal
    fees_delta: Decimal
    funding_delta: Decimal


class PositionChange(NamedTuple):
    """What a fill did.

    Attributes:
        before: The position as it is now where it existed before: changed, or closed.
        before_event: What happened to it.
        opened: A position the fill opened: the first, or the other side of a flip; it needs an id of its own.
        opened_event: What happened to that one.
        realized_delta: Realised by the fill, gross; the sum of its events'.
    """

    before: PositionState | None
    before_event: PositionEvent | None
    opened: PositionState | None
    opened_event: PositionEvent | None
    realized_delta: Decimal


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
    if side not in {LONG, SHORT}:
        raise InvalidValue(f"side={side!r}: a position is LONG or SHORT")
    return PositionState(
        side=side,
        status=OPEN,
        amount=fill.amount,
        entry_price=fill.price,
        entry_cost=fill_cost(fill),
        contract_size=fill.contract_size,
        inverse=fill.inverse,
        fees=fill.fee_in_quote,
        peak_amount=fill.amount,
    )


def apply_fill(position: PositionState | None, fill: FillInput) -> PositionChange:
    """Apply a fill: open, increase, reduce, close or flip.

    A flip closes the position and opens another with what is left; cost and fees are shared by amount. A fee in base
    is a sale of that much base at the fill's price (a rebate a purchase), in the same event; what it has beyond the
    position concerns holdings outside of it and changes nothing here.

    Args:
        position: The open position of the market, or None.
        fill: The fill.

    Returns:
        What it did. A position that went to its own fee in base is opened and CLOSED at once.

    Raises:
        InvalidValue: The position is closed, the fill's contract is not the position's, or the fill has no side,
            no amount or no price.
    """
    change = _apply_gross(position, fill)
    return _pay_in_base(position, change, fill) if fill.fee_in_base else change


def apply_sided_fill(position: PositionState | None, fill: FillInput, side: str) -> PositionChange | None:
    """Apply a fill where only positions of one side are held: on a spot market, or to one side of a hedge.

    What such a fill takes beyond the open position changes none. On a spot market it was held before.

    Args:
        position: The open position, or None.
        fill: The fill.
        side: LONG or SHORT: what the market, or this side of the hedge, holds.

    Returns:
        What it did; None where it changed nothing.
    """
    if fill.side == ("sell" if side == LONG else "buy"):
        if position is None:
            return None
        if position.side == side and fill.amount > position.amount:
            fill, _ = split_fill(fill, position.amount)
    return apply_fill(position, fill)


def _apply_gross(position: PositionState | None, fill: FillInput) -> PositionChange:
    side = LONG if fill.side == "buy" else SHORT
    if (side == SHORT and fill.side != "sell") or not fill.amount > ZERO or not fill.price > ZERO:
        raise InvalidValue(
            f"side={fill.side!r} amount={fill.amount} price={fill.price}: not a fill",
            hint="side is buy or sell, amount and price are more than zero",
        )
    if position is None:
        opened = open_position(side, fill)
        return PositionChange(None, None, opened, _fill_event("open", None, opened, fill), ZERO)
    if position.status != OPEN:
        raise InvalidValue(
            f"status={position.status!r}: a closed position takes no fill", hint="open another"
        )
    if position.contract_size != fill.contract_size or position.inverse != fill.inverse:
        raise InvalidValue(
            f"contract_size={fill.contract_size} inverse={fill.inverse}: the open position has "
            f"contract_size={position.contract_size} inverse={position.inverse}"
        )
    if position.side == side:
        increased = _increase(position, fill)
        return PositionChange(increased, _fill_event("increase", position, increased, fill), None, None, ZERO)
    if fill.amount <= position.amount:
        reduced, realized = _reduce(position, fill)
        kind = "reduce" if reduced.amount else "close"
        return PositionChange(reduced, _fill_event(kind, position, reduced, fill), None, None, realized)
    closing, rest = split_fill(fill, position.amount)
    closed, realized = _reduce(position, closing)
    opened = open_position(side, rest)
    return PositionChange(
        closed,
        _fill_event("flip", position, closed, fill),
        opened,
        _fill_event("open", None, opened, rest),
        realized,
    )


def _increase(position: PositionState, fill: FillInput) -> PositionState:
    amount = add(position.amount, fill.amount)
    cost = add(position.entry_cost, fill_cost(fill))
    units = multiply(amount, position.contract_size)
    if position.inverse and not cost:
        entry = fill.price  # a speck of contracts costs less than the last place can say: no average follows
    else:
        entry = divide(units, cost) if position.inverse else divide(cost, units)
    return msgspec.structs.replace(
        position,
        amount=amount,
        entry_cost=cost,
        entry_price=entry,
        fees=add(position.fees, fill.fee_in_quote),
        peak_amount=max(position.peak_amount, amount),
    )


def _reduce(position: PositionState, fill: FillInput) -> tuple[PositionState, Decimal]:
    rest = subtract(position.amount, fill.amount)
    taken = share(position.entry_cost, fill.amount, position.amount) if rest else position.entry_cost
    got = fill_cost(fill)
    # A linear long earns what it got above its cost; an inverse long earns base when it gives fewer coins back.
    realized = (
        subtract(got, taken) if (position.side == LONG) is not position.inverse else subtract(taken, got)
    )
    reduced = msgspec.structs.replace(
        position,
        status=OPEN if rest else CLOSED,
        amount=rest,
        entry_cost=subtract(position.entry_cost, taken),
        realized_pnl=add(position.realized_pnl, realized),
        fees=add(position.fees, fill.fee_in_quote),
    )
    return reduced, realized


def _pay_in_base(position: PositionState | None, change: PositionChange, fill: FillInput) -> PositionChange:
    """Sell what the fee took (buy what a rebate gave) out of the position the fill left open."""
    if fill.inverse or fill.contract_size != ONE:
        raise InvalidValue(f"fee_in_base={fill.fee_in_base}: a contract holds no base that could pay it")
    target, event = (change.opened or change.before), (change.opened_event or change.before_event)
    if target is None or event is None or target.status != OPEN:
        return change
    side, amount, realized = "sell", fill.fee_in_base, ZERO
    if amount < ZERO:
        side, amount = "buy", amount.copy_negate()
    if (side == "sell") is (target.side == LONG):
        paid, realized = _reduce(target, FillInput(side, fill.price, min(amount, target.amount)))
    else:
        paid = _increase(target, FillInput(side, fill.price, amount))
    before = position if change.opened is None else None
    # The amount before the fee was paid was never held.
    peak = max(before.peak_amount if before else ZERO, paid.amount)
    paid = msgspec.structs.replace(paid, peak_amount=peak)
    event = _fill_event("close" if before and paid.status != OPEN else event.kind, before, paid, fill)
    realized = add(change.realized_delta, realized)
    if before is None:
        return change._replace(opened=paid, opened_event=event, realized_delta=realized)
    return change._replace(before=paid, before_event=event, realized_delta=realized)


def _fill_event(
    kind: str, before: PositionState | None, after: PositionState, fill: FillInput
) -> PositionEvent:
    event = change_event(kind, before, after, fill.price)
    return event._replace(kind="liquidate") if fill.is_liquidation and event.amount_delta < ZERO else event


def change_event(
    kind: str, before: PositionState | None, after: PositionState, price: Decimal | None
) -> PositionEvent:
    """Say what changed a position: the sum of its events is what it is.

    Args:
        kind: What happened.
        before: The position before; None where it was opened.
        after: The position after.
        price: At which price; None where there was none.

    Returns:
        The event.
    """
    if before is None:
        return PositionEvent(
            kind, after.amount, price, after.amount, after.entry_price, after.realized_pnl, after.entry_cost,
            after.fees, after.funding,
        )  # fmt: skip
    return PositionEvent(
        kind,
        subtract(after.amount, before.amount),
        price,
        after.amount,
        after.entry_price,
        subtract(after.realized_pnl, before.realized_pnl),
        subtract(after.entry_cost, before.entry_cost),
        subtract(after.fees, before.fees),
        subtract(after.funding, before.funding),
    )


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
    profit = unrealized_pnl(position, mark)
    if mark == position.mark_price and position.max_adverse <= profit <= position.max_favourable:
        return position  # a fill since the last mark may have made the same price a new extreme
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
