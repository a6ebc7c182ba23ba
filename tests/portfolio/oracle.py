"""Books kept a second way: whole numbers of the last place, written from the definitions, sharing no code.

Every amount of money is a whole number of 1e-18 (:data:`ONE` of them are 1), so sums are exact and a product or
quotient is rounded to the nearest one, ties to even, exactly where the definitions say that it rounds:

- what a fill costs: price * amount * contract size (linear, spot), amount * contract size / price (inverse);
- the share of a cost, or of a fee, that a part of an amount has; what is left is the rest, so nothing is lost;
- the average entry, which is for people: cost / units, or units / cost (inverse), after an increase;
- a fee in the base asset of a spot market is a sale of so much base at the fill's price, its worth rounded once.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import NamedTuple

ONE = 10**18
_WIDE = Context(prec=400)


def money(value: Fraction) -> Fraction:
    """Round to 18 places; Python rounds a fraction half to even."""
    return Fraction(round(value * ONE), ONE)


def exact(value: Decimal) -> Fraction:
    return Fraction(*value.as_integer_ratio())


def decimal_of(units: int) -> Decimal:
    """Say a whole number of 1e-18 as a Decimal."""
    return Decimal(units).scaleb(-18, _WIDE)


def nearest(dividend: int, divisor: int) -> int:
    """Divide to the nearest whole number, ties to even."""
    if divisor < 0:
        dividend, divisor = -dividend, -divisor
    quotient, rest = divmod(dividend, divisor)
    twice = 2 * rest
    return quotient + 1 if twice > divisor or (twice == divisor and quotient & 1) else quotient


class Terms(NamedTuple):
    """What a market is: its assets, how many units a contract is, and which way profit runs."""

    symbol: str
    base: str
    quote: str
    settle: str | None = None
    size: int = ONE

    @property
    def spot(self) -> bool:
        return self.settle is None

    @property
    def inverse(self) -> bool:
        return self.settle == self.base

    @property
    def profit_asset(self) -> str:
        return self.settle or self.quote

    def worth(self, amount: int, price: int) -> int:
        """What an amount costs at a price, rounded once: in quote, in base of an inverse contract."""
        if self.inverse:
            return nearest(amount * self.size, price)
        return nearest(amount * self.size * price, ONE * ONE)


class Deal(NamedTuple):
    """What a position is told of a fill."""

    buys: bool
    price: int
    amount: int
    cost: int
    fee: int

    def cut(self, amount: int, terms: Terms, *, told: bool) -> tuple[Deal, Deal]:
        """Split in two; a cost the exchange told is shared, one that was computed is computed for the part."""
        cost = nearest(self.cost * amount, self.amount) if told else terms.worth(amount, self.price)
        fee = nearest(self.fee * amount, self.amount)
        first = self._replace(amount=amount, cost=cost, fee=fee)
        return first, Deal(self.buys, self.price, self.amount - amount, self.cost - cost, self.fee - fee)


@dataclasses.dataclass(slots=True)
class Stake:
    """One position: how much is open, what that cost exactly, and what it earned so far."""

    terms: Terms
    slot: str
    long: bool
    amount: int
    cost: int
    entry: int
    fees: int
    peak: int = 0
    realized: int = 0
    funding: int = 0
    best: int = 0
    worst: int = 0
    mark: int | None = None

    def gain(self, got: int, given: int) -> int:
        """What it earns by getting this for what it gave that for; a short, or coins of an inverse long, mirror."""
        return got - given if self.long != self.terms.inverse else given - got

    def unrealized(self, price: int) -> int:
        return self.gain(self.terms.worth(self.amount, price), self.cost) if self.amount else 0

    def add(self, deal: Deal) -> None:
        self.amount += deal.amount
        self.cost += deal.cost
        self.fees += deal.fee
        units = self.amount * self.terms.size
        if self.terms.inverse:
            self.entry = nearest(units, self.cost) if self.cost else deal.price
        else:
            self.entry = nearest(self.cost * ONE * ONE, units)

    def take(self, deal: Deal) -> int:
        """Close as much as the deal has; return what that realised."""
        taken = nearest(self.cost * deal.amount, self.amount)
        realized = self.gain(deal.cost, taken)
        self.amount -= deal.amount
        self.cost -= taken
        self.realized += realized
        self.fees += deal.fee
        return realized

    def see(self, price: int) -> None:
        profit = self.unrealized(price)
        self.mark = price
        self.best = max(self.best, profit)
        self.worst = min(self.worst, profit)


@dataclasses.dataclass(slots=True)
class Sums:
    """What was done in one currency."""

    net_flow: int = 0
    realized: int = 0
    funding: int = 0
    fees: int = 0
    other: int = 0
    volume: int = 0
    count: int = 0


class Told(NamedTuple):
    """What a fill came to.

    Attributes:
        realized: Its profit; None where it met no position.
        net: Profit (0 where it met none) less its fees; None where one of them is in another asset.
        entries: (type, asset, amount) of what it moved.
    """

    realized: int | None
    net: int | None
    entries: list[tuple[str, str, int]]


class Books:
    """An account: what its ledger holds, every position there is and was, and sums by currency.

    Attributes:
        booked: Sum of the ledger's entries by asset.
        open: Open positions by symbol and slot: "" in one-way mode, LONG or SHORT in hedge mode.
        stakes: Every position there ever was, in the order they were opened.
        hour: The hour that what is told now counts in; whoever tells sets it.
        sums: What was done, by currency and hour.
        outside: What fills moved of spot assets that no position holds: sales of what was held before, fees in base
            beyond what is open.
    """

    def __init__(self) -> None:
        self.booked: defaultdict[str, int] = defaultdict(int)
        self.open: dict[tuple[str, str], Stake] = {}
        self.stakes: list[Stake] = []
        self.hour = 0
        self.sums: defaultdict[tuple[str, int], Sums] = defaultdict(Sums)
        self.outside: defaultdict[str, int] = defaultdict(int)

    def fill(
        self, terms: Terms, slot: str, price: int, amount: int, fees: Sequence[tuple[str, int]], *,
        buys: bool, told_cost: int | None = None,
    ) -> Told:  # fmt: skip
        """Book a fill: what it moves, what it costs, what it does to the position of its slot."""
        cost = terms.worth(amount, price) if told_cost is None else told_cost
        entries, fee, fee_base = self._pay(terms, price, fees)
        stake, deal = self.open.get((terms.symbol, slot)), Deal(buys, price, amount, cost, fee)
        known = len(self.stakes)
        realized = self._meet(terms, slot, stake, deal, told=told_cost is not None)
        met = stake is not None or len(self.stakes) > known
        if terms.spot:
            sign = 1 if buys else -1
            legs = [("trade", terms.base, sign * amount), ("trade", terms.quote, -sign * cost)]
            if fee_base:
                left = self.open.get((terms.symbol, slot))
                realized += self._sell_fee(terms, left, price, fee_base)
        else:
            legs = [("trade", terms.profit_asset, realized)] if realized else []
        for one in (stake, *self.stakes[known:]):
            if one is not None:
                one.peak = max(one.peak, one.amount)  # what a fee took at once was never held
        entries = [*legs, *entries]
        for _, asset, moved in entries:
            self.booked[asset] += moved
        self.sums[terms.profit_asset, self.hour].realized += realized
        quote = self.sums[terms.quote, self.hour]
        quote.volume += nearest(amount * terms.size, ONE) if terms.inverse else cost
        quote.count += 1
        return Told(realized if met else None, _net(terms, price, realized, fees), entries)

    def _pay(
        self, terms: Terms, price: int, fees: Iterable[tuple[str, int]]
    ) -> tuple[list[tuple[str, str, int]], int, int]:
        """Note fees: entries, what a position is charged in quote, and what of it is a sale of base."""
        entries, in_quote, in_base = [], 0, 0
        for asset, cost in fees:
            if cost:
                entries.append(("fee" if cost > 0 else "rebate", asset, -cost))
            if asset == terms.base:
                in_base += cost
            elif asset in {terms.quote, terms.settle}:
                in_quote += cost
            if not (terms.spot and asset == terms.base):
                self.sums[asset, self.hour].fees += cost
        worth = nearest(price * in_base, ONE)
        if not terms.spot:
            return entries, in_quote + worth, 0
        self.sums[terms.quote, self.hour].fees += worth
        return entries, in_quote + worth, in_base

    def _meet(self, terms: Terms, slot: str, stake: Stake | None, deal: Deal, *, told: bool) -> int:
        """Let a deal meet the position of its slot; what may not open a position is outside of them."""
        key = (terms.symbol, slot)
        realized = 0
        if stake is not None and stake.long == deal.buys:
            stake.add(deal)
            return 0
        if stake is not None:
            closing, rest = deal, None
            if deal.amount > stake.amount:
                closing, rest = deal.cut(stake.amount, terms, told=told)
            realized = stake.take(closing)
            if not stake.amount:
                del self.open[key]
            if rest is None:
                return realized
            deal = rest
        if slot == ("SHORT" if deal.buys else "LONG") or (terms.spot and not deal.buys):
            if terms.spot:
                self.outside[terms.base] -= deal.amount
                self.outside[terms.quote] += deal.cost
            return realized
        opened = Stake(terms, slot, deal.buys, deal.amount, deal.cost, deal.price, deal.fee)
        self.open[key] = opened
        self.stakes.append(opened)
        return realized

    def _sell_fee(self, terms: Terms, stake: Stake | None, price: int, fee: int) -> int:
        """Sell what a fee in base took (buy what a rebate gave) out of what the fill left open."""
        taken = realized = 0
        if stake is not None and fee > 0:
            taken = min(fee, stake.amount)
            realized = stake.take(
                Deal(buys=False, price=price, amount=taken, cost=terms.worth(taken, price), fee=0)
            )
            if not stake.amount:
                del self.open[terms.symbol, stake.slot]
        elif stake is not None:
            taken = fee
            stake.add(Deal(buys=True, price=price, amount=-fee, cost=terms.worth(-fee, price), fee=0))
        self.outside[terms.base] -= fee - taken
        self.outside[terms.quote] += nearest(price * fee, ONE) - terms.worth(taken, price)
        return realized

    def fund(self, terms: Terms, slot: str, amount: int) -> None:
        """Book funding, received (+) or paid (-)."""
        self.booked[terms.profit_asset] += amount
        self.sums[terms.profit_asset, self.hour].funding += amount
        stake = self.open.get((terms.symbol, slot))
        if stake is not None:
            stake.funding += amount

    def move(self, kind: str, asset: str, amount: int) -> None:
        """Book an entry that no fill causes."""
        self.booked[asset] += amount
        if kind in {"deposit", "withdrawal", "transfer"}:
            self.sums[asset, self.hour].net_flow += amount
        else:
            self.sums[asset, self.hour].other += amount

    def mark(self, terms: Terms, price: int) -> None:
        """Show a price to every open position of a market."""
        for (symbol, _), stake in self.open.items():
            if symbol == terms.symbol:
                stake.see(price)

    def held(self) -> dict[str, int]:
        """Return what spot positions hold: base, and what it cost in quote."""
        held: defaultdict[str, int] = defaultdict(int)
        for stake in self.open.values():
            if stake.terms.spot:
                held[stake.terms.base] += stake.amount
                held[stake.terms.quote] -= stake.cost
        return held

    def unexplained(self) -> Iterator[tuple[str, int]]:
        """Yield what of an asset is held without a reason: the proof without any price, which yields nothing."""
        held = self.held()
        reasons: defaultdict[str, int] = defaultdict(int)
        for (asset, _), sums in self.sums.items():
            reasons[asset] += sums.net_flow + sums.realized + sums.funding - sums.fees + sums.other
        for asset in {*self.booked, *reasons, *held, *self.outside}:
            difference = self.booked[asset] - reasons[asset] - held.get(asset, 0) - self.outside[asset]
            if difference:
                yield asset, difference


def _net(terms: Terms, price: int, realized: int, fees: Iterable[tuple[str, int]]) -> int | None:
    paid: defaultdict[str, int] = defaultdict(int)
    for asset, cost in fees:
        paid[asset] += cost
    if terms.spot:
        paid[terms.quote] += nearest(price * paid.pop(terms.base, 0), ONE)
    realized -= paid.pop(terms.profit_asset, 0)
    return None if any(paid.values()) else realized
