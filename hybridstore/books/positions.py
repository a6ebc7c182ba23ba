"""Positions of an account as they are, and as they were at any moment, over all tiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from hybridstore.books.deleted import refuse_deleted
from hybridstore.books.position_at import PositionAt, Stored, Sums, as_stored, as_summed, valued
from hybridstore.books.prices import (
    PRICE_AGE_MAX_S,
    Price,
    PriceSeries,
    Told,
    age_limit,
    given_prices,
    plain_money,
    present_marks,
)
from hybridstore.errors import InvalidValue, StoreError
from hybridstore.named_sql import load_named_sql
from hybridstore.schema.types import check_name, check_timestamp, moment

if TYPE_CHECKING:
    from hybridstore.analytics.session import Analytics
    from hybridstore.analytics.snapshot import Snapshot
    from hybridstore.hot.balance_updates import Moment, Money

QUERIES = load_named_sql(__package__, "holdings.sql")


def positions(
    analytics: Analytics,
    account: str | None = None,
    *,
    at: Moment | None = None,
    symbol: str | None = None,
    status: str = "open",
    prices: Mapping[str, Money] | None = None,
    max_price_age_s: float | None = PRICE_AGE_MAX_S,
) -> tuple[PositionAt, ...]:
    """Return positions; see :meth:`hybridstore.books.books.Books.positions`.

    Args:
        analytics: Where questions over all tiers are asked.
        account: Whose; None means all.
        at: As of this moment; None means now.
        symbol: Only this market.
        status: ``open`` or ``all``.
        prices: Prices that come before all others.
        max_price_age_s: How old a price of the past may be, s.

    Returns:
        Positions in the order they were opened.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    if status not in {"open", "all"}:
        raise InvalidValue(f"status={status!r}: neither open nor all")
    for name, value in (("account", account), ("symbol", symbol)):
        if value is not None:
            check_name(value, name)
    given = given_prices(prices, None)
    age_max = age_limit(max_price_age_s)
    when = None if at is None else moment(check_timestamp(at, "at"))
    with analytics.snapshot() as snapshot:
        marks = present_marks(snapshot)
        if when is None:
            rows = present_positions(snapshot, account, symbol, closed=status == "all")
            listed = [as_stored(row) for row in rows]
            known = present_prices(given, marks, rows)
        else:
            changes = position_changes(snapshot, account, symbol, [when])[0]
            wanted = changes if status == "all" else {key: sums for key, sums in changes.items() if sums}
            rows = stored_positions(snapshot, wanted)
            listed = forget_terms(snapshot, when, [as_summed(row, wanted[row.position_id]) for row in rows])
            series = PriceSeries(snapshot, [when], given, all_marks(marks, rows), age_max)
            series.want((found.symbol for found in listed if found.amount), (), "")
            known = series.at(0)
    return tuple(valued(found, known.get(found.symbol)) for found in listed)


def present_positions(
    snapshot: Snapshot, account: str | None, symbol: str | None, *, closed: bool
) -> list[Stored]:
    """Read positions as they are now.

    Args:
        snapshot: The moment of the store.
        account: Whose; None means all.
        symbol: Only this market; None means all.
        closed: Whether closed ones are wanted, too.

    Returns:
        Rows in the order the positions were opened.
    """
    asked = {"account": account, "symbol": symbol, "closed": closed}
    return [_stored(row) for row in snapshot.ask(QUERIES["present_positions"], params=asked)]


def stored_positions(snapshot: Snapshot, ids: Iterable[str]) -> list[Stored]:
    """Read positions by id, archived ones included.

    Args:
        snapshot: The moment of the store.
        ids: Their ids.

    Returns:
        Rows in the order the positions were opened.

    Raises:
        StoreError: There are events of a position that is not there.
    """
    wanted = sorted(ids)
    if not wanted:
        return []
    rows = [_stored(row) for row in snapshot.ask(QUERIES["positions_of_ids"], params={"ids": wanted})]
    missing = set(wanted) - {row.position_id for row in rows}
    if missing:
        raise StoreError(
            f"position {min(missing)!r} has events but is not on record",
            operation="add up positions",
            hint="the books are incomplete; restore them from a backup",
        )
    return rows


def _stored(row: tuple[Any, ...]) -> Stored:
    return Stored._make(plain_money(value) if isinstance(value, Decimal) else value for value in row)


def position_changes(
    snapshot: Snapshot, account: str | None, symbol: str | None, moments: Sequence[datetime]
) -> list[dict[str, Sums]]:
    """Add up position events between moments.

    Args:
        snapshot: The moment of the store.
        account: Whose; None means all.
        symbol: Only this market; None means all.
        moments: The moments, in order, each once.

    Returns:
        For each moment sums by position of what happened since the one before, up to it.
    """
    refuse_deleted(snapshot, "add up positions", ("position_events",))
    changes: list[dict[str, Sums]] = [{} for _ in moments]
    places = {until: place for place, until in enumerate(moments)}
    asked = {"moments": list(moments), "until": moments[-1], "account": account, "symbol": symbol}
    for until, position_id, *sums, changed_at in snapshot.ask(QUERIES["position_changes"], params=asked):
        changes[places[until]][position_id] = Sums._make([*map(plain_money, sums), changed_at])
    return changes


def forget_terms(snapshot: Snapshot, when: datetime, listed: Iterable[PositionAt]) -> list[PositionAt]:
    """Leave out terms that may not be those of the moment: the books keep the present ones.

    Args:
        snapshot: The moment of the store.
        when: The moment the positions are of.
        listed: The positions.

    Returns:
        The positions: without liquidation price where something happened later, without leverage and margin mode
        where it may have changed them.
    """
    later: dict[str, bool] = dict(snapshot.ask(QUERIES["changed_later"], params={"at": when}))
    terms: dict[bool | None, dict[str, None]] = {
        None: {},
        False: {"liquidation_price": None},
        True: {"liquidation_price": None, "leverage": None, "margin_mode": None},
    }
    return [msgspec.structs.replace(found, **terms[later.get(found.position_id)]) for found in listed]


def all_marks(marks: Mapping[str, Told], rows: Iterable[Stored]) -> dict[str, list[Told]]:
    """Put the marks of markets and those of positions together.

    Args:
        marks: Marks by symbol.
        rows: Positions, each with the last mark of its own.

    Returns:
        Every mark of each symbol.
    """
    known = {symbol: [mark] for symbol, mark in marks.items()}
    for row in rows:
        if row.mark_price is not None:
            known.setdefault(row.symbol, []).append(Told(row.mark_price, row.updated_at))
    return known


def present_prices(
    given: Mapping[str, Price], marks: Mapping[str, Told], rows: Iterable[Stored]
) -> dict[str, Price]:
    """Return the prices of now: given ones, else the newest mark of the market or of a position in it.

    Args:
        given: Prices of the caller.
        marks: Marks by symbol.
        rows: The open positions.

    Returns:
        Prices by symbol.
    """
    newest = dict(marks)
    for row in rows:
        if row.mark_price is not None and (
            row.symbol not in newest or row.updated_at > newest[row.symbol].told_at
        ):
            newest[row.symbol] = Told(row.mark_price, row.updated_at)
    told = {symbol: Price(symbol, mark.price, "mark", mark.told_at) for symbol, mark in newest.items()}
    return {**told, **given}
