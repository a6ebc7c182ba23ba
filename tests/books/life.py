"""A random life of an account, and what it was worth at any moment by a reckoning of its own.

The reckoning knows no positions: it takes the fills and flows as they finally stand, in whole fractions, and counts
what was in hand at a moment. A contract is what was paid for it against what it is worth, so in whatever order things
were told, and however a position was split, closed and opened again, the sum must be the same.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple

from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.store import HybridStore

ACCOUNT = "lives/one"
DAYS = 4
MINUTE_US = 60 * SECOND_US
START_US = 20_670 * DAY_US
SPOT, LINEAR, HEDGED, INVERSE, COIN = "BTC/USDT", "BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USD:BTC", "BNB/USDT"
SIZE = {SPOT: Decimal(1), LINEAR: Decimal("0.001"), HEDGED: Decimal("0.1"), INVERSE: Decimal(100)}
LEVEL = {SPOT: 50_000, LINEAR: 50_000, HEDGED: 3_000, INVERSE: 50_000, COIN: 300}
EVEN_PRICES = (31_250, 40_000, 50_000, 51_200, 62_500, 64_000, 80_000)
"""Whole contracts are coins of few places at these."""


class Fill(NamedTuple):
    """A fill as it is told."""

    name: str
    at_us: int
    symbol: str
    side: str
    price: Decimal
    amount: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    position_side: str | None

    def tell(self, store: HybridStore) -> None:
        details: dict[str, Any] = {"position_side": self.position_side} if self.position_side else {}
        store.record_fill(
            self.symbol, self.side, self.price, self.amount, account=ACCOUNT, trade_id=self.name, order_id="o",
            contract_size=SIZE[self.symbol], fees=self.fees, executed_at=self.at_us, durability="normal", **details,
        )  # fmt: skip

    def void(self, store: HybridStore) -> None:
        store.void_fill(self.symbol, self.name, "o", ACCOUNT)


class Flow(NamedTuple):
    """A deposit, a withdrawal or interest; funding, where it has a symbol."""

    name: str
    at_us: int
    kind: str
    asset: str
    amount: Decimal
    symbol: str | None

    def tell(self, store: HybridStore) -> None:
        if self.symbol is None:
            entry = (ACCOUNT, self.name, self.kind, self.asset, self.amount, None, self.at_us)
            store.record_ledger_entries([entry], durability="normal")
        else:
            store.record_funding(
                self.symbol, self.amount, account=ACCOUNT, funding_id=self.name, occurred_at=self.at_us,
                durability="normal",
            )  # fmt: skip

    def void(self, store: HybridStore) -> None:
        if self.symbol is None:
            store.void_ledger_entry(self.name, ACCOUNT)
        else:
            self._replace(amount=Decimal(0)).tell(store)


class Closes:
    """Candles of a market: of a minute, with gaps, and of five, which say something else where both close together."""

    def __init__(self, rng: Random, symbol: str, *, even: bool) -> None:
        self.rows: list[tuple[Any, ...]] = []
        closes: dict[int, Decimal] = {}
        for timeframe, minutes in (("5m", 5), ("1m", 1)):  # the finer one counts
            for minute in range(-30, DAYS * 24 * 60, minutes):
                if minute > -30 and rng.random() < 0.2:
                    continue
                opened_us, price = START_US + minute * MINUTE_US, some_price(rng, symbol, even=even)
                self.rows.append((symbol, timeframe, opened_us, price, price, price, price, 1))
                closes[opened_us + minutes * MINUTE_US] = price
        self._moments = sorted(closes)
        self._closes = [Fraction(closes[moment]) for moment in self._moments]

    def at(self, at_us: int) -> Fraction:
        return self._closes[bisect.bisect_right(self._moments, at_us) - 1]


def some_price(rng: Random, symbol: str, *, even: bool) -> Decimal:
    if even:
        return Decimal(
            rng.choice(EVEN_PRICES) if symbol == INVERSE else LEVEL[symbol] + rng.randrange(-99, 99)
        )
    return LEVEL[symbol] + Decimal(rng.randrange(-9_999, 9_999)) / 100


class Life:
    """What happens to an account in some days.

    Args:
        rng: Where it comes from.
        even: Whether all prices are such that nothing has to be rounded.
        count: How many fills and flows there are.

    Attributes:
        tellings: What is told, in the order it is told: late, corrected and taken back.
        final: Fills and flows as they stand when all is told.
        closes: Candles by symbol.
    """

    def __init__(self, rng: Random, *, even: bool, count: int = 400) -> None:
        self._rng, self._even = rng, even
        self._open = {"LONG": Decimal(0), "SHORT": Decimal(0)}
        self.closes = {symbol: Closes(rng, symbol, even=even) for symbol in SIZE | {COIN: 1}}
        self.final: dict[str, Fill | Flow] = {}
        told: list[tuple[int, Callable[[HybridStore], None]]] = []
        for number in range(count):
            at_us = START_US + number * DAYS * DAY_US // count + rng.randrange(DAY_US // count)
            one = self._fill(number, at_us) if rng.random() < 0.8 else self._flow(number, at_us)
            hedged = isinstance(one, Fill) and one.position_side is not None
            told_us = at_us + (rng.randrange(3 * DAY_US) if rng.random() < 0.15 and not hedged else 0)
            self.final[one.name] = one
            told.append((told_us, one.tell))
            if rng.random() < 0.08:
                told_us += rng.randrange(3 * DAY_US)
                one = self.final[one.name] = self._corrected(one)
                told.append((told_us, one.tell))
            if rng.random() < 0.05 and not hedged:
                told.append((told_us + rng.randrange(3 * DAY_US), one.void))
                del self.final[one.name]
        told.sort(key=lambda telling: telling[0])
        self.tellings = [tell for _, tell in told]

    def _fill(self, number: int, at_us: int) -> Fill:
        rng = self._rng
        symbol = rng.choice((SPOT, LINEAR, LINEAR, HEDGED, INVERSE, INVERSE))
        side, position_side = rng.choice(("buy", "sell")), None
        amount = Decimal(rng.randrange(1, 2_000))
        if symbol == SPOT:
            amount /= 10_000
        elif symbol == HEDGED:
            position_side = rng.choice(("LONG", "SHORT"))
            closes = (side == "sell") is (position_side == "LONG")
            if closes and self._open[position_side]:
                amount = min(amount, self._open[position_side])
            elif closes:
                side, closes = ("buy" if side == "sell" else "sell"), False
            self._open[position_side] += -amount if closes else amount
        fees = tuple(
            (asset, self._small()) for asset in rng.sample(self._fee_assets(symbol), rng.randrange(3))
        )
        price = some_price(rng, symbol, even=self._even)
        return Fill(f"f{number}", at_us, symbol, side, price, amount, fees, position_side)

    def _fee_assets(self, symbol: str) -> list[str]:
        return {SPOT: ["USDT", "BTC", "BNB"], INVERSE: ["BTC", "BNB"]}.get(symbol, ["USDT", "BNB"])

    def _small(self) -> Decimal:
        return Decimal(self._rng.randrange(-20, 100)) / 10_000

    def _flow(self, number: int, at_us: int) -> Flow:
        rng = self._rng
        if rng.random() < 0.5:
            symbol = rng.choice((LINEAR, INVERSE))
            asset = "BTC" if symbol == INVERSE else "USDT"
            return Flow(f"p{number}", at_us, "funding", asset, self._small() or Decimal(1), symbol)
        kind = rng.choice(("deposit", "withdrawal", "transfer", "interest"))
        asset = rng.choice(("USDT", "BTC", "BNB"))
        amount = Decimal(rng.randrange(1, 10_000)) / (1 if asset == "USDT" else 1_000)
        return Flow(f"d{number}", at_us, kind, asset, -amount if kind == "withdrawal" else amount, None)

    def _corrected(self, one: Fill | Flow) -> Fill | Flow:
        if isinstance(one, Flow):
            return one._replace(amount=one.amount * 2)
        if one.position_side is not None:  # with another amount it might close more than there is
            return one._replace(fees=(("USDT", self._small()),))
        price = some_price(self._rng, one.symbol, even=self._even)
        return one._replace(price=price, amount=one.amount * self._rng.choice((1, 2, 3)))

    def worth(self, moments: list[int]) -> list[Fraction]:
        """Reckon the equity in USDT: what is in hand, and contracts at their price against what was paid for them."""
        held: dict[str, Fraction] = defaultdict(Fraction)
        contracts: dict[str, Fraction] = defaultdict(Fraction)
        waiting = sorted(self.final.values(), key=lambda one: one.at_us, reverse=True)
        reckoned: dict[int, Fraction] = {}
        for at_us in sorted(set(moments)):
            while waiting and waiting[-1].at_us <= at_us:
                _happen(waiting.pop(), held, contracts)
            dollars, coins = held["USDT"], held["BTC"]
            for symbol, units in contracts.items():
                price = self.closes[symbol].at(at_us)
                if symbol == INVERSE:
                    coins -= units / price
                else:
                    dollars += units * price
            in_coins = coins * self.closes[SPOT].at(at_us) + held["BNB"] * self.closes[COIN].at(at_us)
            reckoned[at_us] = dollars + in_coins
        return [reckoned[at_us] for at_us in moments]


def _happen(one: Fill | Flow, held: dict[str, Fraction], contracts: dict[str, Fraction]) -> None:
    if isinstance(one, Flow):
        held[one.asset] += Fraction(one.amount)
        return
    for asset, fee in one.fees:
        held[asset] -= Fraction(fee)
    units = Fraction(one.amount) * Fraction(SIZE[one.symbol]) * (1 if one.side == "buy" else -1)
    if one.symbol == INVERSE:
        held["BTC"] += units / Fraction(one.price)
    else:
        held["USDT"] -= units * Fraction(one.price)
    if one.symbol == SPOT:
        held["BTC"] += units
    else:
        contracts[one.symbol] += units
