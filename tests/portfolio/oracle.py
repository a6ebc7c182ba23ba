"""Books kept a second way: in fractions, with signed quantities, knowing nothing of the package's arithmetic.

The only thing both sides share is the rule that an amount of money has at most 18 places, rounded half even where it
arises: a fill's cost, and the share of a cost that a partial close takes out.
"""

from __future__ import annotations

import dataclasses
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
        return self.given if self.given is not None else self.worth(abs(self.quantity), self.price)

    def worth(self, quantity: Fraction, price: Fraction) -> Fraction:
        units = quantity * self.contract_size
        return money(units / price if self.inverse else units * price)

    def cut(self, quantity: Fraction) -> tuple[Deal, Deal]:
        """Split off so much of the quantity; value and fee of the parts add up to the whole."""
        share = quantity / abs(self.quantity)
        value = self.worth(quantity, self.price) if self.given is None else money(self.given * share)
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
class Holding:
    """One position: signed quantity, what it cost, what was earned; inverse contracts earn the other way round."""

    quantity: Fraction
    cost: Fraction
    entry: Fraction
    peak: Fraction
    realized: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    best: Fraction = Fraction(0)
    worst: Fraction = Fraction(0)


class Oracle:
    """An account's holdings in one market, with every one that was closed."""

    def __init__(self) -> None:
        self.holding: Holding | None = None
        self.closed: list[Holding] = []

    def trade(self, deal: Deal) -> None:
        holding = self.holding
        if holding is None:
            self.holding = Holding(deal.quantity, deal.value, deal.price, abs(deal.quantity), fees=deal.fee)
        elif (holding.quantity > 0) == (deal.quantity > 0):
            holding.quantity += deal.quantity
            holding.cost += deal.value
            units = abs(holding.quantity) * deal.contract_size
            if deal.inverse:
                holding.entry = money(units / holding.cost) if holding.cost else deal.price
            else:
                holding.entry = money(holding.cost / units)
            holding.peak = max(holding.peak, abs(holding.quantity))
            holding.fees += deal.fee
        elif abs(deal.quantity) <= abs(holding.quantity):
            self._give_back(holding, deal)
        else:
            closing, rest = deal.cut(abs(holding.quantity))
            self._give_back(holding, closing)
            self.trade(rest)

    def _give_back(self, holding: Holding, deal: Deal) -> None:
        taken = money(holding.cost * abs(deal.quantity) / abs(holding.quantity))
        gain = deal.value - taken
        holding.realized += gain if (holding.quantity > 0) != deal.inverse else -gain
        holding.cost -= taken
        holding.quantity += deal.quantity
        holding.fees += deal.fee
        if holding.quantity == 0:
            assert holding.cost == 0
            self.closed.append(holding)
            self.holding = None

    def mark(self, deal: Deal, price: Fraction) -> Fraction:
        """Value what is open at a price, by the contract of any deal; remember the best and worst."""
        if self.holding is None:
            return Fraction(0)
        gain = deal.worth(abs(self.holding.quantity), price) - self.holding.cost
        profit = gain if (self.holding.quantity > 0) != deal.inverse else -gain
        self.holding.best = max(self.holding.best, profit)
        self.holding.worst = min(self.holding.worst, profit)
        return profit
