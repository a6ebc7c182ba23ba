"""Lots of an account: its fills over every tier, by one method or several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hybridstore.books.deleted import refuse_deleted
from hybridstore.books.lots_csv import write_disposals, write_totals
from hybridstore.errors import InvalidValue
from hybridstore.named_sql import load_named_sql
from hybridstore.portfolio.lots import LotTotals, total_by_plan, total_by_year
from hybridstore.portfolio.lots_book import LotBook, year_begin_us
from hybridstore.portfolio.lots_records import (
    Disposal,
    LotFill,
    OpenLot,
    check_year,
    make_lot_fill,
    plan_methods,
)
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.records import Record
from hybridstore.schema.types import check_name, check_timestamp, moment, to_decimal

if TYPE_CHECKING:
    from hybridstore.analytics.result import Result
    from hybridstore.analytics.session import Analytics

QUESTIONS = load_named_sql("hybridstore.books", "lots.sql")
_CHUNK = 10_000
"""Fills that are Python objects at once."""


class Lots(Record, frozen=True, gc=False):
    """What an account disposed of and what it still holds, lot by lot.

    Attributes:
        account: Whose.
        symbol: The market; None for all.
        year: The calendar year whose disposals these are; None for all.
        until: Fills executed until then count, it included; None counts all.
        disposals: By method, then market, in the order they happened.
        open_lots: What is open then, by method, then market, the oldest first.
        years: What the disposals come to, for each method, market and year.
        totals: What they come to, for each method and currency.
    """

    account: str
    symbol: str | None
    year: int | None
    until: datetime | None
    disposals: tuple[Disposal, ...]
    open_lots: tuple[OpenLot, ...]
    years: tuple[LotTotals, ...]
    totals: tuple[LotTotals, ...]

    def write_disposals(self, output: str | Path | TextIO) -> None:
        """Write the disposals as CSV: the tax export. docs/lots.md says what its columns are.

        Args:
            output: A file's path, or an open text file.

        Raises:
            ConfigError: The file cannot be written.
        """
        write_disposals(self.account, self.disposals, output)

    def write_totals(self, output: str | Path | TextIO) -> None:
        """Write what the disposals come to, for each method, market and year, as CSV.

        Args:
            output: A file's path, or an open text file.

        Raises:
            ConfigError: The file cannot be written.
        """
        write_totals(self.account, self.years, output)


def compute_account_lots(
    analytics: Analytics,
    *,
    account: str,
    symbol: str | None = None,
    method: str | Iterable[str] = "FIFO",
    by_year: Mapping[int, str] | None = None,
    year: int | None = None,
    until: object = None,
    zone: str | tzinfo = UTC,
) -> Lots:
    """Compute the lots of an account, all of it in one moment of the store.

    Args:
        analytics: Where questions over all tiers are asked.
        account: Whose.
        symbol: Only this market.
        method: FIFO, LIFO, HIFO or AVERAGE, or several of them, each computed by itself.
        by_year: The methods of single calendar years, whatever the method of the others.
        year: Tell only the disposals of this calendar year, and the lots that were open at its end. Earlier fills count
            all the same: they say what was acquired.
        until: Count fills executed until then, it included: an aware datetime, ISO 8601 text with a zone, or
            microseconds. None counts all.
        zone: Where calendar years begin and end: a tzinfo, or a name such as Europe/Berlin.

    Returns:
        The lots.

    Raises:
        InvalidValue: A method, year, moment or zone there is not, or a fill lots cannot be made from; it is named.
        NotFound: The first fills were deleted by policy.
    """
    plans = plan_methods(method, by_year)
    where = _zone(zone)
    until_us = None if until is None else check_timestamp(until, "until")
    if year is not None:
        end_us = year_begin_us(check_year(year, "year") + 1, where) - 1
        until_us = end_us if until_us is None else min(until_us, end_us)
    if symbol is not None:
        parse_symbol(check_name(symbol, "symbol"))
    whose = {"account": check_name(account, "account"), "symbol": symbol}
    limit = None if until_us is None else moment(until_us)
    with analytics.snapshot() as snapshot:
        refuse_deleted(snapshot, "compute lots", ("trades",))
        fills = snapshot.sql(QUESTIONS["fills_of_account"], **whose, until=limit)
    closed: list[list[Disposal]] = [[] for _ in plans]
    left: list[list[OpenLot]] = [[] for _ in plans]
    for market, of_market in groupby(_rows(fills), key=itemgetter(0)):
        books = [LotBook(parse_symbol(market), plan, where) for plan in plans]
        for row in of_market:
            one = _lot_fill(row)
            for book, disposals in zip(books, closed, strict=True):
                found = book.apply(one)
                if found and year in {None, found[0].year}:
                    disposals.extend(found)
        for book, lots in zip(books, left, strict=True):
            if until_us is not None:
                book.advance(until_us)
            lots.extend(book.open_lots())
    disposals_of_all = tuple(chain.from_iterable(closed))
    years = tuple(total_by_year(disposals_of_all))
    return Lots(
        account, symbol, year, limit, disposals_of_all, tuple(chain.from_iterable(left)), years,
        tuple(total_by_plan(years)),
    )  # fmt: skip


def _zone(zone: str | tzinfo) -> tzinfo:
    if isinstance(zone, tzinfo):
        return zone
    if zone.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidValue(
            f"zone={zone!r}: this system knows no such time zone",
            hint="use a name such as Europe/Berlin; where the system has none, pip install tzdata",
        ) from None


def _rows(fills: Result) -> Iterator[tuple[Any, ...]]:
    """Give the rows of an answer, a part at a time: as Python objects they are ten times as large."""
    from hybridstore.analytics.result import Result

    table = fills.arrow()
    for start in range(0, len(fills), _CHUNK):
        yield from Result(table.slice(start, _CHUNK)).rows()


def _lot_fill(row: tuple[Any, ...]) -> LotFill:
    (symbol, trade_id, order_id, side, price, amount, size, quote_amount, fee, fee_currency, fees, strategy,
     executed_us, position_side) = row  # fmt: skip
    market = parse_symbol(symbol)
    return make_lot_fill(
        market,
        side,
        Decimal(price),
        Decimal(amount),
        _fees(fee, fee_currency, fees),
        trade_id=trade_id,
        order_id=order_id,
        executed_us=executed_us,
        contract_size=Decimal(size),
        quote_amount=Decimal(quote_amount),
        position_side=position_side,
        strategy=strategy,
    )


def _fees(fee: str | None, currency: str | None, several: str | None) -> list[tuple[str, Decimal]]:
    if several is not None:
        return [(one["currency"], to_decimal(one["cost"], "fees")) for one in msgspec.json.decode(several)]
    return [] if fee is None or currency is None else [(currency, Decimal(fee))]
