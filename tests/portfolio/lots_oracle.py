"""Lots kept a second way: lists of fractions that are sorted anew for every sale, knowing nothing of the package.

What both sides share are the rules of rounding alone: a cost, and a share of a cost or a fee, has at most 18 places,
half even, and is taken from what is left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

SCALE = 10**18


def money(value: Fraction) -> Fraction:
    """Round to 18 places; Python rounds a fraction half to even."""
    return Fraction(round(value * SCALE), SCALE)


def exact(value: Decimal) -> Fraction:
    return Fraction(*value.as_integer_ratio())


@dataclasses.dataclass(frozen=True)
class Deal:
    """A fill: a positive quantity buys, a negative one sells; ``value`` is its cost in quote, or base for inverse."""

    quantity: Fraction
    price: Fraction
    contract_size: Fraction
    inverse: bool
    fee: Fraction = Fraction(0)
    given: Fraction | None = None

    @property
    def value(self) -> Fraction:
        return self.given if self.given is not None else self.worth(abs(self.quantity))

    def worth(self, quantity: Fraction) -> Fraction:
        units = quantity * self.contract_size
        return money(units / self.price if self.inverse else units * self.price)

    def cut(self, quantity: Fraction) -> tuple[Deal, Deal]:
        """Split off so much of the quantity; value and fee of the parts add up to the whole."""
        share = quantity / abs(self.quantity)
        value = self.worth(quantity) if self.given is None else money(self.given * share)
        fee = money(self.fee * share)
        sign = 1 if self.quantity > 0 else -1
        return (
            dataclasses.replace(self, quantity=sign * quantity, given=value, fee=fee),
            dataclasses.replace(
                self,
                quantity=self.quantity - sign * quantity,
                given=self.value - value,
                fee=self.fee - fee,
            ),
        )


@dataclasses.dataclass
class Parcel:
    """A lot: what is left of it. ``number`` is 0 for a pool."""

    number: int
    long: bool
    price: Fraction
    quantity: Fraction
    cost: Fraction
    fees: Fraction
    last_price: Fraction


@dataclasses.dataclass(frozen=True)
class Closed:
    """A part of a lot that was closed; no opening where none is known."""

    year: int
    number: int | None
    long: bool
    quantity: Fraction
    opened_for: Fraction | None
    closed_for: Fraction
    opening_fees: Fraction
    closing_fees: Fraction


class LotOracle:
    """The lots of one market; methods by year, as names."""

    def __init__(self, default: str, by_year: dict[int, str], *, spot: bool) -> None:
        self.default = default
        self.by_year = by_year
        self.spot = spot
        self.parcels: list[Parcel] = []
        self.closed: list[Closed] = []
        self.year: int | None = None
        self.count = 0

    def method(self) -> str:
        assert self.year is not None
        return self.by_year.get(self.year, self.default)

    def enter(self, year: int, deal: Deal) -> None:
        """Go on to a year, through all between: a year of averages pools what it finds."""
        for between in range(year if self.year is None else self.year + 1, year + 1):
            pooled = self.year is not None and self.method() == "AVERAGE"
            self.year = between
            if pooled or self.method() == "AVERAGE":
                self.pool(deal)

    def pool(self, deal: Deal) -> None:
        if self.parcels:
            quantity = sum((one.quantity for one in self.parcels), Fraction(0))
            cost = sum((one.cost for one in self.parcels), Fraction(0))
            fees = sum((one.fees for one in self.parcels), Fraction(0))
            units = quantity * deal.contract_size
            last = self.parcels[-1].last_price
            price = money(cost / units) if not deal.inverse else money(units / cost) if cost else last
            self.parcels = [Parcel(0, self.parcels[0].long, price, quantity, cost, fees, last)]

    def trade(self, year: int, deal: Deal, base_fee: Fraction = Fraction(0)) -> None:
        self.enter(year, deal)
        self.count += 1
        self.settle(deal)
        if base_fee:
            self.count += base_fee < 0
            self.settle(dataclasses.replace(deal, quantity=-base_fee, given=None, fee=Fraction(0)))

    def settle(self, deal: Deal) -> None:
        long = deal.quantity > 0
        if not self.parcels or self.parcels[0].long == long:
            if self.spot and not long:
                self.closed.append(self.unknown(deal))
            else:
                self.open(deal)
            return
        held = sum((one.quantity for one in self.parcels), Fraction(0))
        if abs(deal.quantity) <= held:
            self.close(deal)
            return
        closing, rest = deal.cut(held)
        self.close(closing)
        self.settle(rest)

    def open(self, deal: Deal) -> None:
        size = abs(deal.quantity)
        self.parcels.append(
            Parcel(self.count, deal.quantity > 0, deal.price, size, deal.value, deal.fee, deal.price)
        )
        if self.method() == "AVERAGE":
            self.pool(deal)

    def unknown(self, deal: Deal) -> Closed:
        assert self.year is not None
        return Closed(
            self.year, None, deal.quantity < 0, -deal.quantity, None, deal.value, Fraction(0), deal.fee
        )

    def order(self) -> Sequence[Parcel]:
        match self.method():
            case "LIFO":
                return self.parcels[::-1]
            case "HIFO":
                sign = -1 if self.parcels[0].long else 1
                return sorted(self.parcels, key=lambda one: sign * one.price)  # stable: the oldest first
            case _:
                return list(self.parcels)

    def close(self, deal: Deal) -> None:
        assert self.year is not None
        left, value, fees = abs(deal.quantity), deal.value, deal.fee
        for parcel in self.order():
            if not left:
                break
            part = min(left, parcel.quantity)
            opened_for = money(parcel.cost * part / parcel.quantity)
            opening_fees = money(parcel.fees * part / parcel.quantity)
            closed_for, closing_fees = money(value * part / left), money(fees * part / left)
            self.closed.append(
                Closed(
                    self.year,
                    parcel.number,
                    parcel.long,
                    part,
                    opened_for,
                    closed_for,
                    opening_fees,
                    closing_fees,
                )
            )
            parcel.quantity -= part
            parcel.cost -= opened_for
            parcel.fees -= opening_fees
            left, value, fees = left - part, value - closed_for, fees - closing_fees
        self.parcels = [one for one in self.parcels if one.quantity]
