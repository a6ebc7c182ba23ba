"""Marks: the latest prices, by which positions and portfolios are valued."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import Moment, Money
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.money import round_money
from hybridstore.records import Record
from hybridstore.schema.market import MARKS
from hybridstore.schema.types import EXACT, check_name, check_timestamp, moment, money_text, to_decimal

_TWO = Decimal(2)
_MARKED_AT = MARKS.stored_names.index("marked_at")
_MARK = MARKS.stored_names.index("mark")


class Mark(Record, frozen=True, gc=False):
    """The latest prices of a market.

    Attributes:
        symbol: The market.
        bid: Best bid, in quote.
        ask: Best ask, in quote.
        last: Last trade, in quote.
        mark: The price to value by, in quote.
        marked_at: When, UTC.
        recorded_at: When the store took it, UTC.
    """

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    mark: Decimal
    marked_at: datetime
    recorded_at: datetime


class MarkUpdate(NamedTuple):
    """Checked prices on their way to the writer."""

    symbol: str
    bid: str | None
    ask: str | None
    last: str | None
    mark: Decimal
    mark_text: str
    marked_us: int | None


def prepare_mark(
    symbol: str,
    *,
    bid: Money | None = None,
    ask: Money | None = None,
    last: Money | None = None,
    mark: Money | None = None,
    marked_at: Moment | None = None,
) -> MarkUpdate:
    """Take prices through the door.

    Args:
        symbol: The market.
        bid: Best bid, in quote.
        ask: Best ask, in quote.
        last: Last trade, in quote.
        mark: The price to value by; None means the middle of bid and ask, else the last trade.
        marked_at: When; None means the commit's time.

    Returns:
        The checked prices.

    Raises:
        InvalidValue: A value does not fit, or no price was given at all.
    """
    prices = {"bid": bid, "ask": ask, "last": last, "mark": mark}
    known = {name: to_decimal(price, name) for name, price in prices.items() if price is not None}
    for name, price in known.items():
        if price <= 0:  # an empty side of a book is told as 0; taken for a price it would halve the middle
            raise InvalidValue(
                f"{name}={price}: must be more than zero", hint=f"leave {name} out where there is none"
            )
    texts = {name: money_text(price, name) for name, price in known.items()}
    if "mark" in known:
        value = known["mark"]
    elif "bid" in known and "ask" in known:
        value = round_money(EXACT.divide(EXACT.add(known["bid"], known["ask"]), _TWO))
    elif "last" in known:
        value = known["last"]
    else:
        raise InvalidValue(f"no price to value {symbol} by", hint="give mark, or bid and ask, or last")
    return MarkUpdate(
        check_name(symbol, "symbol"),
        texts.get("bid"),
        texts.get("ask"),
        texts.get("last"),
        value,
        texts.get("mark") or money_text(value, "mark"),
        None if marked_at is None else check_timestamp(marked_at, "marked_at"),
    )


def prepare_marks(marks: Iterable[Mapping[str, Any]]) -> list[MarkUpdate]:
    """Take many prices through the door.

    Args:
        marks: Each the arguments of :func:`prepare_mark` by name.

    Returns:
        The checked prices, in order.

    Raises:
        InvalidValue: A value does not fit; row number and value are named, and nothing was written.
    """
    updates: list[MarkUpdate] = []
    for number, mark in enumerate(marks):
        operation = f"row {number} of the marks"
        try:
            updates.append(prepare_mark(**mark))
        except InvalidValue as error:
            hint = error.hint or "nothing was written"
            raise InvalidValue(error.message, operation=operation, hint=hint) from error
        except TypeError:
            raise InvalidValue(
                f"{mark!r} is no mark", operation=operation, hint=f"give {', '.join(_ARGUMENTS)} by name"
            ) from None
    return updates


def prepare_prices(prices: Mapping[str, Money], marked_at: Moment | None) -> list[MarkUpdate]:
    """Take the prices of many markets through the door.

    Args:
        prices: The price to value by of each symbol, in quote.
        marked_at: When they were; None means the commit's time.

    Returns:
        The checked prices, in order.

    Raises:
        InvalidValue: A value does not fit; it is named, and nothing was written.
    """
    return prepare_marks(
        [{"symbol": symbol, "mark": price, "marked_at": marked_at} for symbol, price in prices.items()]
    )


_ARGUMENTS = tuple(inspect.signature(prepare_mark).parameters)


def store_mark(session: WriteSession, update: MarkUpdate) -> int | None:
    """Make prices the latest of their market, unless later ones are known.

    Args:
        session: The write transaction.
        update: The checked prices.

    Returns:
        The moment they are of, us UTC; None where later ones are known.
    """
    marked_us = session.ts_us if update.marked_us is None else session.timely(update.marked_us, "marked_at")
    key = ("mark", update.symbol)
    known_us: int | None = session.memory.get(key)
    if known_us is None:
        row = session.one("find_marks", (update.symbol,))
        known_us = row[_MARKED_AT] if row else marked_us
    if marked_us < known_us:
        return None
    session.memory[key] = marked_us
    session.memory["mark price", update.symbol] = update.mark
    session.defer_latest(
        "upsert_marks",
        update.symbol,
        (update.symbol, update.bid, update.ask, update.last, update.mark_text, marked_us, session.ts_us),
    )
    return marked_us


def market_mark(session: WriteSession, symbol: str) -> Decimal | None:
    """Return the latest mark of a market, also one of this transaction.

    Args:
        session: The write transaction.
        symbol: The market.

    Returns:
        The price to value by, in quote; None where none is known.
    """
    known: Decimal | None = session.memory.get(("mark price", symbol))
    if known is None:
        row = session.one("find_marks", (symbol,))
        known = None if row is None else Decimal(row[_MARK])
    return known


def decode_mark(row: tuple[Any, ...]) -> Mark:
    """Turn a row of ``marks`` into a record.

    Args:
        row: symbol, bid, ask, last, mark, marked_at, recorded_at.

    Returns:
        The record.
    """
    symbol, bid, ask, last, mark, marked_us, recorded_us = row
    return Mark(
        symbol,
        None if bid is None else Decimal(bid),
        None if ask is None else Decimal(ask),
        None if last is None else Decimal(last),
        Decimal(mark),
        moment(marked_us),
        moment(recorded_us),
    )


class MarkReader:
    """Point reads of marks; they run inline, in any thread.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    def latest(self, symbol: str) -> Mark | None:
        """Return the latest prices of a market.

        Args:
            symbol: The market.

        Returns:
            The prices, or None where none were recorded.
        """
        database = self._database
        rows = database.readers.rows(database.statements["find_marks"], (symbol,))
        return database.cache.record(("mark", symbol), rows[0], decode_mark) if rows else None
