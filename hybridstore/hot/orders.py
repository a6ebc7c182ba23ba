"""Orders: their present state, and each state they were reported in.

Reports come late, twice and in any order. A report counts when it is further than what is known: it is final and what
is known is not (no exchange opens an order again, and clocks differ), or it is of a later moment, or of the same moment
with more filled. Of one that is not further, only what nobody said before is taken. So the same reports in any order,
told as often as one likes, leave the same order.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import apsw

from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.hot.commits import touches
from hybridstore.hot.connection import Claimed
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.known import Stored
from hybridstore.hot.reader import listed
from hybridstore.hot.rows import key_of, supersede_row, write_rows
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.schema.books import ORDER_EVENTS, ORDERS
from hybridstore.schema.types import check_name, moment

_PLACE = {name: place for place, name in enumerate(ORDERS.column_names)}
_UPDATED, _RECORDED = _PLACE["updated_at"], _PLACE["recorded_at"]
_STATUS, _FILLED = _PLACE["status"], _PLACE["filled"]


class Order(Record, frozen=True, gc=False):
    """An order in its present state.

    Attributes:
        account: Whose.
        symbol: The market.
        order_id: The exchange's id.
        client_order_id: The bot's id.
        side: buy or sell.
        type: limit, market, ...
        time_in_force: GTC, IOC, ...
        status: open, closed, canceled, expired or rejected.
        price: Limit price, in quote.
        trigger_price: Trigger, in quote.
        amount: Ordered, in units of base or contracts.
        filled: Filled so far.
        average: Average fill price, in quote.
        cost: Filled, in quote.
        reduce_only: Whether it only reduces a position.
        post_only: Whether it only adds liquidity.
        created_at: When the exchange took it, UTC.
        updated_at: When it last changed, UTC.
        last_trade_at: When it was last filled, UTC.
        strategy: The strategy that acted.
        bot: The bot that acted.
        recorded_at: When the store took this state, UTC.
    """

    account: str
    symbol: str
    order_id: str
    client_order_id: str | None
    side: str
    type: str
    time_in_force: str | None
    status: str
    price: Decimal | None
    trigger_price: Decimal | None
    amount: Decimal
    filled: Decimal
    average: Decimal | None
    cost: Decimal | None
    reduce_only: bool | None
    post_only: bool | None
    created_at: datetime | None
    updated_at: datetime
    last_trade_at: datetime | None
    strategy: str | None
    bot: str | None
    recorded_at: datetime


def prepare_order(columns: dict[str, object]) -> list[Any]:
    """Take an order through the door.

    Args:
        columns: Values by column of the ``orders`` dataset; ``account`` defaults to "default", ``updated_at`` and
            ``recorded_at`` to the commit's time, ``filled`` to 0.

    Returns:
        Stored forms in declared order, None where the commit's time goes.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    given = {"account": DEFAULT_ACCOUNT, "filled": 0, **columns}
    late = [name for name in ("updated_at", "recorded_at") if given.get(name) is None]
    row = list(ORDERS.check_row({**given, **dict.fromkeys(late, 0)}))
    for name in late:
        row[ORDERS.column_names.index(name)] = None
    return row


@touches("orders", "order_events")
def write_order(session: WriteSession, row: list[Any]) -> bool:
    """Record a report of an order: as an event, and as its state if it is further than what is known.

    Args:
        session: The write transaction.
        row: What :func:`prepare_order` returned.

    Returns:
        Whether the order's state changed.

    Raises:
        Claimed: The order's day is just being archived.
        ArchiveNeeded: It must be looked up first whether the order is archived.
    """
    stored = list(row)
    stored[_UPDATED] = session.ts_us if row[_UPDATED] is None else session.timely(row[_UPDATED], "updated_at")
    stored[_RECORDED] = session.ts_us
    key = key_of(ORDERS, stored)
    found = session.one("find_orders", key)
    archived: Stored | None = None
    if found is None:
        for rows in find_archived(session, ORDERS, [Wanted(key, stored[_UPDATED])]).values():
            archived = rows[0]
    before = found or archived
    if before is None:
        session.run("insert_orders", stored)
        _note(session, stored)
        return True
    known = list(before[1:])
    after = _joined(known, stored, timeless=row[_UPDATED] is None)
    if _same(after, known):
        # Of an archived order every report up to its last is known.
        if archived is None and row[_UPDATED] is not None:
            _note(session, stored)
        return False
    _note(session, stored)
    _replace(session, before, after, archived=archived is not None)
    return True


def _joined(known: list[Any], told: list[Any], *, timeless: bool) -> list[Any]:
    """Return what is known after a report; what a report does not say is not taken back."""
    further = _progress(told) > _progress(known)
    if timeless and _same([*told[:_UPDATED], known[_UPDATED], *told[_UPDATED + 1 :]], known):
        further = False  # it says nothing new, so nothing changed now
    first, second = (told, known) if further else (known, told)
    return [ours if ours is not None else theirs for ours, theirs in zip(first, second, strict=True)]


def _progress(row: list[Any]) -> tuple[bool, int, Decimal]:
    return row[_STATUS] != "open", row[_UPDATED], Decimal(row[_FILLED])


def _same(one: list[Any], other: list[Any]) -> bool:
    """Whether two rows agree in all that both say, but for when they were recorded."""
    return all(
        ours is None or ours == theirs
        for place, (ours, theirs) in enumerate(zip(one, other, strict=True))
        if place != _RECORDED
    )


def _note(session: WriteSession, row: list[Any]) -> None:
    values = {**dict(zip(ORDERS.column_names, row, strict=True)), "occurred_at": row[_UPDATED]}
    write_rows(session, ORDER_EVENTS, [[values[name] for name in ORDER_EVENTS.column_names]])


def _replace(session: WriteSession, before: Stored, after: list[Any], *, archived: bool) -> None:
    if archived:
        supersede_row(session, ORDERS, before, after)
        return
    try:
        session.run("upsert_orders", after)
    except apsw.ConstraintError as error:
        raise Claimed(
            f"order {after[_PLACE['order_id']]!r} is final and its day is being archived",
            hint="report it again when the tier move is done",
        ) from error


def decode_order(row: Stored) -> Order:
    """Turn a row of ``orders`` into a record.

    Args:
        row: The stored columns.

    Returns:
        The record.
    """
    (
        _, account, symbol, order_id, client_order_id, side, kind, time_in_force, status, price, trigger_price,
        amount, filled, average, cost, reduce_only, post_only, created_us, updated_us, last_trade_us, strategy, bot,
        recorded_us,
    ) = row  # fmt: skip
    return Order(
        account,
        symbol,
        order_id,
        client_order_id,
        side,
        kind,
        time_in_force,
        status,
        None if price is None else Decimal(price),
        None if trigger_price is None else Decimal(trigger_price),
        Decimal(amount),
        Decimal(filled),
        None if average is None else Decimal(average),
        None if cost is None else Decimal(cost),
        None if reduce_only is None else bool(reduce_only),
        None if post_only is None else bool(post_only),
        None if created_us is None else moment(created_us),
        moment(updated_us),
        None if last_trade_us is None else moment(last_trade_us),
        strategy,
        bot,
        moment(recorded_us),
    )


class OrderReader:
    """Point reads of orders; they run inline, in any thread.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    def get(self, symbol: str, order_id: str, account: str = DEFAULT_ACCOUNT) -> Order | None:
        """Return an order of the hot store.

        Args:
            symbol: Its market.
            order_id: The exchange's id.
            account: Whose.

        Returns:
            The order, open or final in the last days; None where there is none.
        """
        database = self._database
        key = (account, symbol, order_id)
        rows = database.readers.rows(database.statements["find_orders"], key, _timeout_ms(database))
        if rows:
            return database.cache.record(("order", *key), rows[0], decode_order)
        for value, column in zip(key, ORDERS.key, strict=True):
            check_name(value, column)
        return None

    def open(self, symbol: str | None = None, account: str = DEFAULT_ACCOUNT) -> list[Order]:
        """Return the open orders of an account.

        Args:
            symbol: Only those of this market; None means all.
            account: Whose.

        Returns:
            Orders in the order they were recorded.
        """
        key = ("orders", account, symbol)
        return list(self._database.cache.result(key, ("orders",), lambda: self._load(symbol, account)))

    def _load(self, symbol: str | None, account: str) -> tuple[Order, ...]:
        database = self._database
        name, key = (
            ("open_orders", (account,)) if symbol is None else ("open_orders_of_symbol", (account, symbol))
        )
        rows = database.readers.rows(database.statements[name], key, _timeout_ms(database))
        return tuple([decode_order(row) for row in sorted(listed(rows))])


def _timeout_ms(database: DatabaseManager) -> int:
    return database.config.position_query_timeout
