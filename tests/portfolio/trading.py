"""A random account: its fills on several markets, the entries they make, and what the exchange reports after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from random import Random
from typing import NamedTuple

from hybridstore.portfolio.ledger import fill_entries, fill_reference
from hybridstore.portfolio.money import ZERO, add
from hybridstore.portfolio.practice import KnownFill
from hybridstore.portfolio.reconcile import BookEntry, Report
from hybridstore.portfolio.symbols import parse_symbol

OPENING = {"BTC": Decimal(50), "USDT": Decimal(1_000_000), "ETH": Decimal(500), "BNB": Decimal(10)}
_PRICES = {"BTC/USDT": "50000", "ETH/USDT": "3000", "ETH/BTC": "0.06"}
_PLACES = {"BTC/USDT": 2, "ETH/USDT": 2, "ETH/BTC": 6}
_RATES = ("0.001", "0.00075", "0.0002", "-0.0001")
_BNB = {"USDT": Decimal(600), "BTC": Decimal("0.01")}
"""Its price by quote: fees in it have many digits in every market, so that no two are the same by chance."""
_STEP_US = 100_000


class Told(NamedTuple):
    """A fill and its entries.

    Attributes:
        fill: The fill.
        entries: What it moved.
    """

    fill: KnownFill
    entries: tuple[BookEntry, ...]


class Account(NamedTuple):
    """What happened to an account.

    Attributes:
        told: Its fills, in order.
        reports: What the exchange reported.
    """

    told: tuple[Told, ...]
    reports: tuple[Report, ...]

    def without(self, *places: int) -> list[Told]:
        """Return the fills but those at some places."""
        return [one for place, one in enumerate(self.told) if place not in places]


def trade(
    rng: Random, count: int, *, begin_us: int, step_us: int = _STEP_US, every: int = 1, ahead_us: int = 0
) -> Account:
    """Make a random account.

    Args:
        rng: What is random.
        count: How many fills.
        begin_us: The first report, us UTC.
        step_us: Fills are 1 to 20 times this apart, us.
        every: A report follows each so many fills, and the last.
        ahead_us: How long before the last of its fills a report is dated, us; 0 dates it a little after it.

    Returns:
        The account.
    """
    held = dict(OPENING)
    reports = [Report(asset, balance, begin_us) for asset, balance in held.items()]
    told = []
    moment_us = begin_us
    for number in range(count):
        moment_us += rng.randint(1, 20) * step_us
        one = _told(rng, number, moment_us)
        told.append(one)
        for entry in one.entries:
            held[entry.asset] = add(held[entry.asset], entry.amount)
        if (number + 1) % every == 0 or number == count - 1:
            moved = {entry.asset for entry in one.entries} if every == 1 else held.keys()
            at_us = moment_us - ahead_us if ahead_us else moment_us + 50
            reports += [Report(asset, held[asset], at_us) for asset in sorted(moved)]
    return Account(tuple(told), tuple(reports))


def entries_of(told: Iterable[Told]) -> list[BookEntry]:
    """Return all entries of some fills."""
    return [entry for one in told for entry in one.entries]


def fills_of(told: Iterable[Told]) -> list[KnownFill]:
    """Return the fills alone."""
    return [one.fill for one in told]


def again(one: Told, trade_id: str) -> Told:
    """Return the same fill under another id, as if it were told twice."""
    return told_of(one.fill._replace(trade_id=trade_id))


def with_fees(one: Told, fees: Sequence[tuple[str, Decimal]]) -> Told:
    """Return the same fill with other fees."""
    return told_of(one.fill._replace(fees=tuple(fees)))


def told_of(fill: KnownFill) -> Told:
    """Return a fill with the entries it makes; its reference follows from its id."""
    market = parse_symbol(fill.symbol)
    reference = fill_reference(fill.symbol, fill.trade_id, "o")
    entries = fill_entries(market, fill.side, fill.amount, fill.quote_amount, ZERO, fill.fees)
    return Told(
        fill._replace(reference=reference),
        tuple(
            BookEntry(f"{reference}|{entry.leg}", entry.asset, entry.amount, fill.executed_us, reference)
            for entry in entries
        ),
    )


def _told(rng: Random, number: int, moment_us: int) -> Told:
    symbol = rng.choice(list(_PRICES))
    market = parse_symbol(symbol)
    price = round(Decimal(_PRICES[symbol]) * Decimal(rng.randint(900, 1100)) / 1000, _PLACES[symbol])
    amount = Decimal(rng.randint(1000, 10**6)).scaleb(-5)
    notional = price * amount
    rate = Decimal(rng.choice(_RATES))
    asset = rng.choice((market.base, market.quote, "BNB", None))
    whole = {market.base: amount, market.quote: notional, "BNB": notional / _BNB[market.quote]}
    fees = () if asset is None else ((asset, round(whole[asset] * rate, 8)),)
    return told_of(
        KnownFill(
            "",
            f"t{number}",
            symbol,
            rng.choice(("buy", "sell")),
            amount,
            price,
            notional,
            tuple(fee for fee in fees if fee[1]),
            moment_us,
        )
    )
