"""Random lives of an account: a seeded generator, a compact wording, and a search for the shortest that still fails.

A script is data: whole numbers of 1e-18, no state. Any part of it is a script too, which is what shrinking needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from tests.portfolio.oracle import ONE, Books, Terms, decimal_of

SIZES = ("1", "0.001", "10", "100", "0.0001", "7", "0.3333", "1000000", "0.000000000000000007")
THIRD = "BNB"
CASH = ("deposit", "withdrawal", "transfer", "interest", "adjust", "liquidation")
_KINDS = (
    ("BTC", "USDT", None), ("ETH", "USDT", None), ("ETH", "BTC", None), ("DOGE", "EUR", None),
    ("BTC", "USDT", "USDT"), ("ETH", "USDC", "USDC"), ("BTC", "USD", "BTC"), ("ETH", "USD", "ETH"),
)  # fmt: skip


class Fill(NamedTuple):
    """A fill of a market: its slot, side, price, amount, fees, and what the exchange says it cost, if it does."""

    terms: Terms
    slot: str
    buys: bool
    price: int
    amount: int
    fees: tuple[tuple[str, int], ...] = ()
    told_cost: int | None = None
    forced: bool = False


class Mark(NamedTuple):
    """A price of a market."""

    terms: Terms
    price: int


class Funding(NamedTuple):
    """Funding of a position, received (+) or paid (-)."""

    terms: Terms
    slot: str
    amount: int


class Cash(NamedTuple):
    """An entry that no fill causes."""

    kind: str
    asset: str
    amount: int


Step = Fill | Mark | Funding | Cash
Script = tuple[Step, ...]


def tell(books: Books, step: Step) -> None:
    """Book one step the second way."""
    if isinstance(step, Fill):
        books.fill(
            step.terms,
            step.slot,
            step.price,
            step.amount,
            step.fees,
            buys=step.buys,
            told_cost=step.told_cost,
        )
    elif isinstance(step, Mark):
        books.mark(step.terms, step.price)
    elif isinstance(step, Funding):
        books.fund(step.terms, step.slot, step.amount)
    else:
        books.move(step.kind, step.asset, step.amount)


def make_script(rng: Random, *, storable: bool = False, steps: tuple[int, int] = (10, 60)) -> Script:
    """Draw a script.

    Args:
        rng: What to draw from.
        storable: Whether every amount fits a column: 20 digits before the point, a cost of at least 1e-18.
        steps: The least and the most there are.

    Returns:
        Fills, marks, funding and cash of one to four markets.
    """
    writer = _Writer(rng, storable=storable)
    return tuple(writer.step() for _ in range(rng.randint(*steps)))


class _Market:
    """What a script knows of a market: its terms, whether it is hedged, where its price and usual amount are."""

    def __init__(self, rng: Random, kind: tuple[str, str, str | None], *, storable: bool) -> None:
        base, quote, settle = kind
        symbol = f"{base}/{quote}:{settle}" if settle else f"{base}/{quote}"
        size = _scaled(rng.choice(SIZES)) if settle and rng.random() < 0.6 else ONE
        if settle and rng.random() < 0.2:
            symbol += "-261225"
        self.terms = Terms(symbol, base, quote, settle, size)
        self.slots = ("LONG", "SHORT") if settle and rng.random() < 0.35 else ("",)
        if rng.random() < 0.5:  # usual figures
            self.price, self.amount = _power(rng, 16, 23), _power(rng, 13, 21)
        else:  # anything from dust to heaps; what it costs is kept where a column could hold it
            self.price = _power(rng, 2, 33)
            self.amount = _power(rng, 0, max(0, 50 - len(str(self.price))))
            if not storable:
                self.amount = _power(rng, 0, 33)
        self.price_grid = _power(rng, 0, max(0, len(str(self.price)) - 2))
        self.amount_grid = _power(rng, 0, len(str(self.amount)) - 1)


class _Writer:
    """Writes the steps of one script, keeping books of its own to know what can be closed."""

    def __init__(self, rng: Random, *, storable: bool) -> None:
        self._rng = rng
        self._storable = storable
        kinds = rng.sample(_KINDS, rng.randint(1, 4))
        self._markets = [_Market(rng, kind, storable=storable) for kind in kinds]
        self._books = Books()

    def step(self) -> Step:
        """Write the next step."""
        draw = self._rng.random()
        market = self._markets[int(self._rng.random() * len(self._markets))]
        step: Step | None = None
        if draw < 0.72:
            step = self._fill(market)
        elif draw < 0.84:
            step = Mark(market.terms, self._price(market))
        elif draw < 0.91:
            slot = market.slots[int(self._rng.random() * len(market.slots))]
            if market.terms.settle:
                step = Funding(market.terms, slot, self._signed(10**20))
        if step is None:
            asset = self._rng.choice(
                (market.terms.base, market.terms.quote, market.terms.profit_asset, THIRD)
            )
            step = self._cash(self._rng.choice(CASH), asset)
        tell(self._books, step)
        return step

    def _cash(self, kind: str, asset: str) -> Cash:
        amount = self._signed(_power(self._rng, 0, 33))
        if kind in {"deposit", "withdrawal"}:
            amount = abs(amount) if kind == "deposit" else -abs(amount)
        return Cash(kind, asset, amount)

    def _signed(self, limit: int) -> int:
        amount = 1 + int(self._rng.random() * limit)
        return amount if self._rng.random() < 0.5 else -amount

    def _price(self, market: _Market) -> int:
        draw = self._rng.random()
        price = int(market.price * (0.5 + self._rng.random()))
        if draw < 0.02:
            price = price * 1000 if draw < 0.01 else price // 1000
        return max(price // market.price_grid * market.price_grid, 1)

    def _fill(self, market: _Market) -> Fill | None:
        rng, terms = self._rng, market.terms
        slot = market.slots[int(rng.random() * len(market.slots))]
        stake = self._books.open.get((terms.symbol, slot))
        buys = rng.random() < (0.55 if not slot else 0.5)
        forced, amount = False, 0
        if stake is not None and rng.random() < 0.6:  # close some of it, all, or more
            buys = not stake.long
            amount = self._part(stake.amount)
            forced = not terms.spot and amount <= stake.amount and rng.random() < 0.15
        if not amount:
            amount = (
                int(market.amount * (0.1 + 9.9 * rng.random())) // market.amount_grid * market.amount_grid
            )
        amount, price = max(amount, 1), self._price(market)
        cost = terms.worth(amount, price)
        if self._storable and not self._fits(terms, amount, price, cost):
            return None
        told = None
        if not terms.inverse and (rng.random() < 0.1 or self._storable):
            told = self._told(terms, amount, price, cost)
        fees = self._fees(terms, amount, cost) if rng.random() < 0.7 else ()
        return Fill(terms, slot, buys, price, amount, fees, told, forced)

    def _part(self, amount: int) -> int:
        draw = self._rng.random()
        if draw < 0.3:
            return amount
        if draw < 0.6:
            return amount // int(2 + draw * 9)
        if draw < 0.7:
            return 1
        if draw < 0.85:
            return amount + amount // 3 + 1
        return int(amount * self._rng.random())

    def _told(self, terms: Terms, amount: int, price: int, cost: int) -> int | None:
        """What the exchange says it cost: the same, where a column can hold it, or a little besides."""
        if self._storable and amount * terms.size * price % ONE**2 == 0 and self._rng.random() < 0.9:
            return None
        return max(cost + int((self._rng.random() - 0.5) * 3 * min(cost // 1000, 10**9)), 1)

    @staticmethod
    def _fits(terms: Terms, amount: int, price: int, cost: int) -> bool:
        if terms.inverse and amount * terms.size % ONE:
            return False
        notional = amount * terms.size // ONE if terms.inverse else cost
        return 0 < notional < 10**33 and 0 < cost < 10**33 and price < 10**36 and amount < 10**36

    def _fees(self, terms: Terms, amount: int, cost: int) -> tuple[tuple[str, int], ...]:
        rng = self._rng
        fees = []
        for _ in range(1 if rng.random() < 0.8 else rng.randint(2, 3)):
            rate = int(rng.random() * 30) - 6  # in thousandths; below zero it is a rebate
            asset = (terms.quote, terms.base, terms.profit_asset, THIRD)[int(rng.random() * 4)]
            whole = amount if asset == terms.base else cost
            if asset == THIRD:
                whole = 10**18
            if rng.random() < 0.03:
                rate *= 50  # more than all there is
            fees.append((asset, whole * rate // 1000))
        return tuple(fees)


def _power(rng: Random, low: int, high: int) -> int:
    return int(10 ** rng.randint(low, high))


def _scaled(text: str) -> int:
    whole, _, places = text.partition(".")
    return int(whole) * ONE + int(places.ljust(18, "0") or 0)


def shorten(script: Script, fails: Callable[[Script], bool]) -> Script:
    """Leave out what a failure does not need: runs of steps, single steps, then fees and told costs.

    Where no step can be left out because the last ones need the position that all before them make, two fills that
    follow each other become the one that leaves as much.

    Args:
        script: One that fails.
        fails: Whether a script fails.

    Returns:
        One that fails and is as short as leaving out and joining can make it.
    """
    length = len(script) + 1
    while len(script) < length:
        length = len(script)
        script = _join(_leave_out(script, fails), fails)
    for place, step in enumerate(script):
        for plainer in _plainer(step):
            simpler = (*script[:place], plainer, *script[place + 1 :])
            if fails(simpler):
                script = simpler
                break
    return script


def _leave_out(script: Script, fails: Callable[[Script], bool]) -> Script:
    length = len(script) // 2
    while length:
        start = 0
        while start < len(script):
            shorter = script[:start] + script[start + length :]
            if fails(shorter):
                script = shorter
            else:
                start += length
        length //= 2
    return script


def _join(script: Script, fails: Callable[[Script], bool]) -> Script:
    place = 0
    while place + 1 < len(script):
        joined = _joined(script[place], script[place + 1])
        shorter = (*script[:place], *joined, *script[place + 2 :])
        if joined and fails(shorter):
            script = shorter
        else:
            place += 1
    return script


def _joined(one: Step, next_one: Step) -> Script:
    """Return the one fill that leaves as much as two, at the later price; nothing where there is none."""
    if not (isinstance(one, Fill) and isinstance(next_one, Fill)):
        return ()
    if (one.terms, one.slot) != (next_one.terms, next_one.slot):
        return ()
    amount = sum(fill.amount if fill.buys else -fill.amount for fill in (one, next_one))
    fill = next_one._replace(buys=amount > 0, amount=abs(amount), fees=(), told_cost=None, forced=False)
    return (fill,) if amount else ()


def _plainer(step: Step) -> Iterator[Step]:
    if isinstance(step, Fill):
        yield step._replace(fees=(), told_cost=None)
        yield step._replace(fees=())
        yield step._replace(told_cost=None)


def worded(script: Script) -> str:
    """Say a script in a line a step, amounts as they are in money."""
    return "\n".join(f"  {_word(step)}" for step in script)


def _word(step: Step) -> str:
    if isinstance(step, Fill):
        fees = " ".join(f"{decimal_of(cost):f}{asset}" for asset, cost in step.fees)
        told = "" if step.told_cost is None else f" cost {decimal_of(step.told_cost):f}"
        size = "" if step.terms.size == ONE else f" x{decimal_of(step.terms.size):f}"
        return (
            f"{'buy' if step.buys else 'sell'} {decimal_of(step.amount):f}{size} {step.terms.symbol} {step.slot} "
            f"@ {decimal_of(step.price):f}{told} fees [{fees}]{' forced' if step.forced else ''}"
        )
    if isinstance(step, Mark):
        return f"mark {step.terms.symbol} {decimal_of(step.price):f}"
    if isinstance(step, Funding):
        return f"funding {step.terms.symbol} {step.slot} {decimal_of(step.amount):f}"
    return f"{step.kind} {step.asset} {decimal_of(step.amount):f}"
