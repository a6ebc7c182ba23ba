"""The bot's own fills: the trade and all that follows from it, in one transaction."""

from __future__ import annotations

from typing import Any

from hybridstore.hot.activity import note_activity
from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.commits import touches
from hybridstore.hot.fill_corrections import FILL_TOUCHES, rebook
from hybridstore.hot.fills import NO_ORDER, FillOrder
from hybridstore.hot.known import Key, Stored
from hybridstore.hot.ledger import append_entry
from hybridstore.hot.position_fills import Addressee, FillEffect, fill_position
from hybridstore.hot.positions import FillName
from hybridstore.hot.rows import is_old_version, key_of
from hybridstore.hot.session import WriteSession
from hybridstore.hot.trade_rows import COUNTED, PLACE, FillResult, decode_trade, realized_columns
from hybridstore.portfolio.activity import fill_activity
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.ledger import fill_entries, fill_reference
from hybridstore.schema.books import TRADES

_COLUMNS = TRADES.column_names
_SAME = ("side", "price", "amount")
_FEES = ("fee", "fee_currency", "fees", "fee_in_quote")


@touches(*FILL_TOUCHES)
def write_fill(session: WriteSession, order: FillOrder) -> FillResult:
    """Record a fill once: trade, ledger entries, what is held, position, sums by hour and day.

    A fill that is known (same account, symbol, trade id and order id) changes nothing; with another content it is
    recorded as a correction: the old version of the trade is kept, and everything that was counted of it is put right.
    Told once with its order and once without, it is the same fill if side, price and amount agree; the trade keeps the
    order id it was told with first. Only an archived fill that was told with its order is not known again without it.

    Args:
        session: The write transaction.
        order: The checked fill.

    Returns:
        What it did.

    Raises:
        InvalidValue: It cannot be said which position it is for, or it lies far ahead.
        Claimed: It corrects a row of a day that is just being archived.
        ArchiveNeeded: It must be looked up first what is archived.
    """
    columns = order.columns
    key = (order.account, order.market.symbol, order.trade_id, columns["order_id"])
    if not order.is_new_id:
        found, archived = _find(session, order, key)
        if found is not None:
            return _known(session, order, found, archived=archived)
    executed_us = session.ts_us
    if order.executed_us is not None:
        executed_us = session.timely(order.executed_us, "executed_at")
    effect = fill_position(
        session,
        addressee(order),
        fill_input(order),
        FillName(order.trade_id, columns["order_id"]),
        executed_us,
    )
    stored = _stored(order, effect, executed_us, session.ts_us)
    session.execute(session.sql["insert_trades"], stored)
    _book(session, order, effect, executed_us)
    return FillResult(decode_trade((0, *stored)), effect.position)


def addressee(order: FillOrder) -> Addressee:
    """Say which position a fill is for.

    Args:
        order: The checked fill.

    Returns:
        Whose it is.
    """
    columns = order.columns
    return Addressee(
        order.account,
        order.market,
        order.position_id,
        order.position_side,
        columns["strategy"],
        columns["bot"],
    )


def fill_input(order: FillOrder) -> FillInput:
    """Return what positions are computed from.

    Args:
        order: The checked fill.

    Returns:
        The fill.
    """
    return FillInput(
        order.side,
        order.price,
        order.amount,
        order.contract_size,
        order.inverse,
        order.totals.known_in_quote,
        order.totals.in_base,
        None if order.inverse else order.quote_amount,
        order.is_liquidation,
    )


def _book(session: WriteSession, order: FillOrder, effect: FillEffect, executed_us: int) -> None:
    account, market, price = order.account, order.market, order.price
    reference = fill_reference(market.symbol, order.trade_id, order.columns["order_id"])
    entries = fill_entries(market, order.side, order.amount, order.quote_amount, effect.realized, order.fees)
    for leg, kind, asset, amount in entries:
        append_entry(session, account, f"{reference}|{leg}", kind, asset, amount, reference, executed_us)
    done = fill_activity(market, price, order.amount, order.quote_amount, effect.realized, order.fees)
    for currency, activity in done.items():
        note_activity(session, account, currency, executed_us, activity)


def _stored(order: FillOrder, effect: FillEffect, executed_us: int, ts_us: int) -> list[Any]:
    columns = order.columns
    computed = {
        **realized_columns(order.market, order.price, effect.position_id, effect.realized, order.fees),
        "executed_at": executed_us,
        "recorded_at": ts_us,
    }
    return [computed[name] if name in computed else columns[name] for name in _COLUMNS]


def _find(session: WriteSession, order: FillOrder, key: Key) -> tuple[Stored | None, bool]:
    """Find what is known of a fill, under its own key first; say whether it is archived."""
    hot: list[Any] = session.execute(session.sql["trades_of_id"], key[:3]).fetchall()
    for row in hot:
        if row[PLACE["order_id"]] == key[3]:
            return row, False
    keys = [key] if key[3] == NO_ORDER else [key, (*key[:3], NO_ORDER)]
    archived = find_archived(session, TRADES, [Wanted(one, order.executed_us) for one in keys])
    if key in archived:
        return archived[key][0], True
    for row in hot:
        if NO_ORDER in (key[3], row[PLACE["order_id"]]) and _is_same(order, row):
            return row, False
    for rows in archived.values():
        if _is_same(order, rows[0]):
            return rows[0], True
    return None, False


def _is_same(order: FillOrder, row: Stored) -> bool:
    return all(row[PLACE[name]] == order.columns[name] for name in _SAME)


def _known(session: WriteSession, order: FillOrder, found: Stored, *, archived: bool) -> FillResult:
    given = {**order.columns, "order_id": found[PLACE["order_id"]]}
    if order.executed_us is not None:
        given["executed_at"] = order.executed_us
    if not order.is_liquidation:
        given["liquidation"] = None  # not every channel knows
    tells_fees = given["fee"] is not None or given["fees"] is not None
    # What is not said this time is not taken back, and the exchange words its own record anew on every channel. Of fees
    # all is said or nothing: one may have become two, or another asset.
    changed = {
        name: value
        for name, value in given.items()
        if (tells_fees if name in _FEES else value is not None)
        and found[PLACE[name]] != value
        and (name != "info" or found[PLACE[name]] is None)
    }
    if not changed:
        return FillResult(decode_trade(found), None, repeated=True)
    row = [changed.get(name, found[PLACE[name]]) for name in TRADES.column_names]
    said = {
        name: value
        for name, value in given.items()
        if (tells_fees if name in _FEES else value is not None) and name != "info"
    }
    if is_old_version(session, TRADES, key_of(TRADES, row), said):
        return FillResult(decode_trade(found), None, repeated=True)
    if "executed_at" in changed:
        session.timely(changed["executed_at"], "executed_at")
    counts = not COUNTED.isdisjoint(changed)
    whose = addressee(order)._replace(side=row[TRADES.column_names.index("position_side")])
    booked = rebook(session, whose, found, row, archived=archived, counts=counts)
    return FillResult(decode_trade(booked.row), booked.position, corrected=tuple(changed))
