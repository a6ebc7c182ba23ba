"""What a corrected fill does to the position that counted it: what it did is taken out, the right thing put in.

The position's other fills stay as they were booked. A share of cost that a partial close took at the old average is
not taken anew: the difference stays in what is open, or is realised where nothing is open any more. So profit, cost
and fees together are exactly what they would be had the fill been told so at first.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.money import ZERO, add, divide, multiply, subtract
from hybridstore.portfolio.position import CLOSED, LONG, OPEN, PositionState, apply_fill


class Booked(NamedTuple):
    """What a fill did to one position: the sums of its events there.

    Attributes:
        amount: Change of the amount.
        realized: Realised by it, gross.
        cost: Change of the exact cost of what is open.
        fees: Fees of it, in quote.
    """

    amount: Decimal
    realized: Decimal
    cost: Decimal
    fees: Decimal


def amend_position(position: PositionState, booked: Booked, fill: FillInput | None) -> PositionState | None:
    """Amend a position.

    Args:
        position: The position as it is, open or closed.
        booked: What the fill did to it.
        fill: The fill as it should have been; None where it never was.

    Returns:
        The position as it is then, open or closed; None where the fill does not fit into it any more: it would go
        below zero or to the other side.
    """
    if booked.amount > ZERO:
        return _amend_entry(position, booked, fill)
    return _amend_exit(position, booked, fill)


def _amend_entry(position: PositionState, booked: Booked, fill: FillInput | None) -> PositionState | None:
    """Of fills that opened or increased, amounts and costs add up in any order."""
    amount, cost, realized, fees = _without(position, booked)
    price = None
    if fill is not None:
        opened = apply_fill(None, fill).opened
        if opened is None or opened.side != position.side:
            return None
        price = fill.price
        amount, cost = add(amount, opened.amount), add(cost, opened.entry_cost)
        realized, fees = add(realized, opened.realized_pnl), add(fees, opened.fees)
    if amount < ZERO or (amount and cost < ZERO):
        return None
    if not amount:  # what was closed at another cost than it had has gained or lost the difference
        gains = (position.side == LONG) is position.inverse
        realized = add(realized, cost) if gains else subtract(realized, cost)
        cost = ZERO
    return msgspec.structs.replace(
        position,
        status=OPEN if amount else CLOSED,
        amount=amount,
        entry_cost=cost,
        entry_price=_average(position, amount, cost, price),
        realized_pnl=realized,
        fees=fees,
        peak_amount=max(position.peak_amount, amount),
    )


def _amend_exit(position: PositionState, booked: Booked, fill: FillInput | None) -> PositionState | None:
    """A fill that reduced or closed: give back what it took, then apply the right one."""
    amount, cost, realized, fees = _without(position, booked)
    if amount < ZERO or cost < ZERO:
        return None
    before = msgspec.structs.replace(
        position,
        status=OPEN if amount else CLOSED,
        amount=amount,
        entry_cost=cost,
        entry_price=_average(position, amount, cost, None),
        realized_pnl=realized,
        fees=fees,
    )
    if fill is not None:
        change = apply_fill(before, fill) if amount else None
        if change is None or change.before is None or change.opened:
            return None
        before = change.before
    return msgspec.structs.replace(before, peak_amount=max(position.peak_amount, before.amount))


def _without(position: PositionState, booked: Booked) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    return (
        subtract(position.amount, booked.amount),
        subtract(position.entry_cost, booked.cost),
        subtract(position.realized_pnl, booked.realized),
        subtract(position.fees, booked.fees),
    )


def _average(position: PositionState, amount: Decimal, cost: Decimal, price: Decimal | None) -> Decimal:
    if not amount:
        return position.entry_price if price is None else price
    units = multiply(amount, position.contract_size)
    if not position.inverse:
        return divide(cost, units)
    return divide(units, cost) if cost else price or position.entry_price
