"""Open lots of one side of a market, in the order a method closes them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from hybridstore.portfolio.fill import FillInput, fill_cost, split_fill
from hybridstore.portfolio.lots_records import (
    AVERAGE,
    FIFO,
    HIFO,
    LIFO,
    POOL,
    AssetFees,
    LotFill,
    add_fees,
)
from hybridstore.portfolio.money import ZERO, add, divide, multiply, share, subtract
from hybridstore.portfolio.position import LONG


class Lot:
    """So much that was opened at once and is not yet closed.

    Args:
        number: Counts the lots of a market in the order they were opened.
        basis: trade, rebate or pool.
        opened: The fill that opened it; of a pool the last one.
        price: At which, in quote.
        amount: Units of base, or contracts.
        cost: What it was opened for.
        fees: Fees of opening it.
        other_fees: The same in other assets.
    """

    __slots__ = ("amount", "basis", "cost", "fees", "number", "opened", "other_fees", "price")

    def __init__(
        self,
        number: int,
        basis: str,
        opened: LotFill,
        price: Decimal,
        amount: Decimal,
        cost: Decimal,
        fees: Decimal,
        other_fees: AssetFees,
    ) -> None:
        self.number = number
        self.basis = basis
        self.opened = opened
        self.price = price
        self.amount = amount
        self.cost = cost
        self.fees = fees
        self.other_fees = other_fees

    def take(self, amount: Decimal) -> tuple[Decimal, Decimal, AssetFees]:
        """Take out a part; what is left keeps what the shares rounded off.

        Args:
            amount: Less than the lot's.

        Returns:
            Its cost, its fees, and its fees in other assets.
        """
        whole, cost, fees = self.amount, self.cost, self.fees
        cost_part = share(cost, amount, whole)
        fees_part = share(fees, amount, whole) if fees else ZERO
        other_part: AssetFees = ()
        if self.other_fees:
            other_part, self.other_fees = split_fees(self.other_fees, amount, whole)
        self.amount = subtract(whole, amount)
        self.cost = subtract(cost, cost_part)
        if fees_part:
            self.fees = subtract(fees, fees_part)
        return cost_part, fees_part, other_part


def split_fees(fees: AssetFees, part: Decimal, of: Decimal) -> tuple[AssetFees, AssetFees]:
    """Split fees of several assets by amount.

    Args:
        fees: The fees.
        part: The amount of the first part.
        of: The amount they are for; more than that.

    Returns:
        The part's and the rest's, which add up to them.
    """
    parts = [(asset, cost, share(cost, part, of)) for asset, cost in fees]
    taken = tuple([(asset, cut) for asset, _, cut in parts if cut])
    left = tuple([(asset, subtract(cost, cut)) for asset, cost, cut in parts if cut != cost])
    return taken, left


class Part(NamedTuple):
    """So much of a fill.

    Attributes:
        kind: ``sale`` or ``fee``, see Disposal.
        amount: Units of base, or contracts.
        value: What it came to.
        fees: Its fees in the same currency.
        other_fees: The same in other assets.
    """

    kind: str
    amount: Decimal
    value: Decimal
    fees: Decimal
    other_fees: AssetFees


def split_part(fill: FillInput, whole: Part, amount: Decimal) -> tuple[Part, Part]:
    """Split a fill as a position does when it flips; its fees by amount.

    Args:
        fill: The fill.
        whole: All of it.
        amount: How much goes into the first part; less than the fill's.

    Returns:
        The part of that amount, and the rest.
    """
    first, rest = split_fill(fill, amount)
    fees = share(whole.fees, amount, whole.amount) if whole.fees else ZERO
    others, left = split_fees(whole.other_fees, amount, whole.amount) if whole.other_fees else ((), ())
    return (
        Part(whole.kind, amount, fill_cost(first), fees, others),
        Part(whole.kind, rest.amount, fill_cost(rest), subtract(whole.fees, fees), left),
    )


class LotQueue:
    """Lots in the order they were opened: FIFO closes the oldest first.

    Args:
        side: LONG or SHORT.
        lots: Lots to begin with, the oldest first.
    """

    def __init__(self, side: str, lots: Iterable[Lot] = ()) -> None:
        self._side = side
        self._lots = deque[Lot]()
        for lot in lots:
            self.add(lot)

    def add(self, lot: Lot) -> None:
        """Take in a lot, younger than all there are."""
        self._lots.append(lot)

    def first(self) -> Lot:
        """Return the lot that is closed next; there is one."""
        return self._lots[0]

    def drop_first(self) -> None:
        """Let go of the lot that is closed next."""
        self._lots.popleft()

    def by_age(self) -> list[Lot]:
        """Return the lots, the oldest first."""
        return list(self._lots)


class _YoungestFirst(LotQueue):
    """LIFO."""

    def first(self) -> Lot:
        return self._lots[-1]

    def drop_first(self) -> None:
        self._lots.pop()


class _DearestFirst(LotQueue):
    """HIFO: the lot that gains least. That is the one of the highest price, of a SHORT the lowest; then the oldest."""

    def __init__(self, side: str, lots: Iterable[Lot] = ()) -> None:
        self._heap: list[tuple[Decimal, int, Lot]] = []  # no two numbers are equal: lots are never compared
        super().__init__(side, lots)

    def add(self, lot: Lot) -> None:
        price = lot.price.copy_negate() if self._side == LONG else lot.price
        heapq.heappush(self._heap, (price, lot.number, lot))

    def first(self) -> Lot:
        return self._heap[0][2]

    def drop_first(self) -> None:
        heapq.heappop(self._heap)

    def by_age(self) -> list[Lot]:
        return sorted([lot for _, _, lot in self._heap], key=attrgetter("number"))


class _Pool(LotQueue):
    """AVERAGE: all that is open is one lot."""

    def add(self, lot: Lot) -> None:
        if not self._lots:
            lot.basis = POOL
            self._lots.append(lot)
            return
        pool = self._lots[0]
        pool.opened = lot.opened
        pool.amount = add(pool.amount, lot.amount)
        pool.cost = add(pool.cost, lot.cost)
        pool.fees = add(pool.fees, lot.fees)
        pool.other_fees = add_fees(pool.other_fees, lot.other_fees)

    def by_age(self) -> list[Lot]:
        for pool in self._lots:
            pool.price = average_price(pool)
        return list(self._lots)


def average_price(pool: Lot) -> Decimal:
    """Return the average price of a pool.

    Args:
        pool: The pool.

    Returns:
        In quote, 18 places half even; harmonic for inverse contracts. The last price where the cost is too small to
        divide by.
    """
    fill: FillInput = pool.opened.fill
    units = multiply(pool.amount, fill.contract_size)
    if not fill.inverse:
        return divide(pool.cost, units)
    return divide(units, pool.cost) if pool.cost else fill.price


_QUEUES: dict[str, type[LotQueue]] = {
    FIFO: LotQueue,
    LIFO: _YoungestFirst,
    HIFO: _DearestFirst,
    AVERAGE: _Pool,
}


def make_queue(method: str, side: str, lots: Iterable[Lot] = ()) -> LotQueue:
    """Put lots in the order of a method.

    Args:
        method: FIFO, LIFO, HIFO or AVERAGE.
        side: LONG or SHORT.
        lots: Lots to begin with, the oldest first.

    Returns:
        The queue; it changes the lots.
    """
    return _QUEUES[method](side, lots)
