"""Marks: the latest prices, by which positions and portfolios are valued."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hybridstore.errors import InvalidValue
from hybridstore.hot.balances import Moment, Money
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.schema.types import EXACT, check_name, check_timestamp, moment, money_text, to_decimal

_TWO = Decimal(2)


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
    if "mark" in known:
        value = known["mark"]
    elif "bid" in known and "ask" in known:
        value = EXACT.divide(EXACT.add(known["bid"], known["ask"]), _TWO)
    elif "last" in known:
        value = known["last"]
    else:
        raise InvalidValue(f"no price to value {symbol} by", hint="give mark, or bid and ask, or last")
    texts = {name: money_text(price, name) for name, price in known.items()}
    return MarkUpdate(
        check_name(symbol, "symbol"),
        texts.get("bid"),
        texts.get("ask"),
        texts.get("last"),
        value,
        texts.get("mark") or money_text(value, "mark"),
        None if marked_at is None else check_timestamp(marked_at, "marked_at"),
    )


def store_mark(session: WriteSession, update: MarkUpdate) -> int:
    """Make prices the latest of their market.

    Args:
        session: The write transaction.
        update: The checked prices.

    Returns:
        The moment they are of, us UTC.
    """
    marked_us = update.marked_us or session.ts_us
    session.defer_latest(
        "upsert_marks",
        update.symbol,
        (update.symbol, update.bid, update.ask, update.last, update.mark_text, marked_us, session.ts_us),
    )
    return marked_us


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
        rows = self._database.readers.rows(self._database.statements["find_marks"], (symbol,))
        return decode_mark(rows[0]) if rows else None
