"""Prices of the past: what each market was worth at given moments, where that is known from, and of when.

The price of a market at a moment is, best first:

- the price the caller gave;
- the close of the candle of up to a day that closed last, the finest of several, if that was within an hour;
- the newest of: any other candle, the bot's own fills, public trades, and the present mark where it is no later.

Nothing later than the moment counts, and nothing older than the caller's limit. What is left has no price.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.named_sql import load_named_sql
from hybridstore.portfolio.summary import price_symbols
from hybridstore.records import Record
from hybridstore.schema.types import EPOCH, check_name, money_text, to_decimal

if TYPE_CHECKING:
    from hybridstore.analytics.snapshot import Snapshot
    from hybridstore.hot.balance_updates import Money

QUERIES = load_named_sql(__package__, "prices.sql")
PRICE_AGE_MAX_S = 31 * 86_400.0
"""How old a price of the past may be, unless the caller says otherwise, s."""
_FRESH = timedelta(hours=1)
"""A candle closed this long ago is better than anything else; one minute without trades gives no candle."""
_NEAR = timedelta(days=1)
"""How far prices are looked for at first."""
_DAY_CANDLE, _LONGEST_CANDLE = timedelta(days=1), timedelta(days=366)
_GIVEN, _CANDLE, _MARK = "given", "candle", "mark"
_CANDLES = "candle_closes"
_OTHERS = ((_CANDLE, _CANDLES), ("fill", "fill_prices"), ("market trade", "trade_prices"))
"""Where the price of a market without a fresh candle may come from: candles of more than a day, fills, trades."""


class Price(Record, frozen=True, gc=False):
    """The price of a market at a moment.

    Attributes:
        symbol: The market.
        price: In quote.
        source: given, candle, fill, market trade or mark.
        priced_at: The moment it is of, UTC; None where it was given.
    """

    symbol: str
    price: Decimal
    source: str
    priced_at: datetime | None


class Told(NamedTuple):
    """A price as it was told, and the moment it is of."""

    price: Decimal
    told_at: datetime


def given_prices(prices: Mapping[str, Money] | None, base_currency: str | None) -> dict[str, Price]:
    """Take prices as callers give them.

    Args:
        prices: By symbol (``BTC/USDT``), or by asset (``BTC``) in the base currency.
        base_currency: What the account is priced in; None where only markets have a price.

    Returns:
        The prices by symbol.

    Raises:
        InvalidValue: A price is not an exact number above zero; it is named.
    """
    taken = {}
    for name, value in (prices or {}).items():
        symbol = check_name(name, "symbol of a price")
        if "/" not in symbol:
            if base_currency is None:
                raise InvalidValue(f"price of {name!r}: not a market", hint="name it as BTC/USDT")
            symbol = f"{symbol}/{base_currency}"
        price = to_decimal(value, f"price of {name}")
        money_text(price, f"price of {name}")
        if price <= 0:
            raise InvalidValue(
                f"price of {name}={price}: must be more than zero", hint="leave out what is unknown"
            )
        taken[symbol] = Price(symbol, price, _GIVEN, None)
    return taken


def age_limit(max_price_age_s: float | None) -> timedelta | None:
    """Take the caller's limit of a price's age.

    Args:
        max_price_age_s: s; None and infinity mean any age.

    Returns:
        The limit.

    Raises:
        InvalidValue: It is negative or no number.
    """
    if max_price_age_s is None or max_price_age_s == math.inf:
        return None
    if not 0 <= max_price_age_s < timedelta.max.total_seconds():
        raise InvalidValue(
            f"max_price_age_s={max_price_age_s}: must not be negative", hint="None means any age"
        )
    return timedelta(seconds=max_price_age_s)


def present_marks(snapshot: Snapshot) -> dict[str, Told]:
    """Read the marks as they are now.

    Args:
        snapshot: The moment of the store.

    Returns:
        Marks by symbol.
    """
    return {
        symbol: Told(plain_money(price), marked_at)
        for symbol, price, marked_at in snapshot.sql(QUERIES["marks"])
    }


def plain_money(amount: Decimal) -> Decimal:
    """Return an amount as the hot store tells it.

    Args:
        amount: An amount of an answer, with all its places.

    Returns:
        The same amount without zeros behind it.
    """
    return Decimal(money_text(amount, "amount"))


class PriceSeries:
    """Prices at given moments, looked up market by market as they are wanted.

    Args:
        snapshot: The moment of the store everything is read at.
        moments: The moments, in order, each once; at least one.
        given: Prices of the caller.
        marks: The present marks of each market.
        age_max: How old a price may be; None means any age.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        moments: Sequence[datetime],
        given: Mapping[str, Price],
        marks: Mapping[str, Sequence[Told]],
        age_max: timedelta | None,
    ) -> None:
        self._snapshot = snapshot
        self._moments = moments
        self._given = given
        self._marks = marks
        self._age_max = age_max
        self._fresh = _FRESH if age_max is None else min(_FRESH, age_max)
        self._found: dict[str, list[Price | None]] = {}

    def want(self, symbols: Iterable[str], assets: Iterable[str], base_currency: str) -> None:
        """Look up what is needed to value something; a market is asked for only where no better one says it all.

        Args:
            symbols: Markets.
            assets: What is to be priced in the base currency.
            base_currency: In what.
        """
        self._find(symbols)
        waiting = set(assets) - {base_currency}
        for rank in range(len(price_symbols("", ""))):
            candidates = {asset: price_symbols(asset, base_currency)[: rank + 1] for asset in waiting}
            self._find(symbols[-1] for symbols in candidates.values())
            waiting = {asset for asset, symbols in candidates.items() if not self._covered(symbols)}

    def at(self, place: int) -> dict[str, Price]:
        """Return the prices of a moment.

        Args:
            place: The number of the moment.

        Returns:
            Prices by symbol, of what was wanted and is known.
        """
        return {
            symbol: price for symbol, prices in self._found.items() if (price := prices[place]) is not None
        }

    def _covered(self, symbols: Sequence[str]) -> bool:
        """Whether at every moment one of the markets has a price."""
        return all(any(prices) for prices in zip(*(self._found[symbol] for symbol in symbols), strict=True))

    def _find(self, symbols: Iterable[str]) -> None:
        new = sorted(set(symbols) - self._found.keys())
        given = {symbol: self._given[symbol] for symbol in new if symbol in self._given}
        wanted = [symbol for symbol in new if symbol not in given]
        closes = self._told(_CANDLES, wanted, long=False)
        stale = [symbol for symbol in wanted if not all(map(self._is_fresh, closes[symbol], self._moments))]
        others = [(source, self._told(query, stale, long=True)) for source, query in _OTHERS]
        self._found |= {symbol: [price] * len(self._moments) for symbol, price in given.items()}
        for symbol in wanted:
            known = [
                (_CANDLE, closes[symbol]),
                *((source, told[symbol]) for source, told in others if symbol in told),
            ]
            self._found[symbol] = [
                self._best(symbol, moment, [(source, told[place]) for source, told in known])
                for place, moment in enumerate(self._moments)
            ]

    def _is_fresh(self, told: Told | None, moment: datetime) -> bool:
        return told is not None and moment - told.told_at <= self._fresh

    def _best(self, symbol: str, moment: datetime, known: list[tuple[str, Told | None]]) -> Price | None:
        """Return the first where it is fresh, else the newest, else nothing."""
        if not self._is_fresh(known[0][1], moment):
            known += [(_MARK, mark) for mark in self._marks.get(symbol, ()) if mark.told_at <= moment]
            known.sort(key=lambda one: one[1].told_at if one[1] else EPOCH, reverse=True)
        source, told = known[0]
        if told is None or (self._age_max is not None and moment - told.told_at > self._age_max):
            return None
        return Price(symbol, told.price, source, told.told_at)

    def _told(self, query: str, symbols: Sequence[str], *, long: bool) -> dict[str, list[Told | None]]:
        """Return the last price of each market at each moment, first from what is near, then as far as it may be."""
        if not symbols:
            return {}
        first = self._moments[0]
        told = self._ask(query, symbols, self._moments, _before(first, _NEAR), long=long)
        missing = [symbol for symbol in symbols if told[symbol][0] is None]
        if missing and (self._age_max is None or self._age_max > _NEAR):
            for symbol, before in self._ask(
                query, missing, [first], _before(first, self._age_max), long=long
            ).items():
                told[symbol][0] = before[0]
        for prices in told.values():
            for place in range(1, len(prices)):
                prices[place] = prices[place] or prices[place - 1]
        return told

    def _ask(
        self, query: str, symbols: Sequence[str], moments: Sequence[datetime], since: datetime, *, long: bool
    ) -> dict[str, list[Told | None]]:
        places = {moment: place for place, moment in enumerate(moments)}
        told: dict[str, list[Told | None]] = {symbol: [None] * len(moments) for symbol in symbols}
        asked: dict[str, object] = {
            "moments": list(moments), "symbols": list(symbols), "since": since, "until": moments[-1],
        }  # fmt: skip
        if query == _CANDLES:
            longest = _LONGEST_CANDLE if long else _DAY_CANDLE
            asked |= {"opened": _before(since, longest), "long": long}
        for symbol, moment, price, told_at in self._snapshot.ask(QUERIES[query], params=asked):
            told[symbol][places[moment]] = Told(plain_money(price), told_at)
        return told


def _before(moment: datetime, age: timedelta | None) -> datetime:
    return EPOCH if age is None or moment - EPOCH < age else moment - age
