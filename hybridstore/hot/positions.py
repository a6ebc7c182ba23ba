"""Positions: opened, adjusted and closed by hand, found and kept for whoever changes them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from hybridstore.errors import Conflict, NotFound
from hybridstore.hot.archived import Wanted, find_archived
from hybridstore.hot.commits import touches
from hybridstore.hot.position_rows import Held, Position, PositionOrder, decode, encode, present
from hybridstore.hot.session import WriteSession
from hybridstore.portfolio.fill import FillInput
from hybridstore.portfolio.position import OPEN, PositionEvent, apply_fill, change_event, open_position
from hybridstore.schema.books import POSITIONS
from hybridstore.schema.types import check_text, money_text

_AMOUNTS = PositionEvent._fields[1:]


class FillName(NamedTuple):
    """What events of a fill know it by, beside account and symbol.

    Attributes:
        trade_id: Its id.
        order_id: Its order, as the trade has it: an exchange may give one id to both sides of a match of the bot with
            itself.
    """

    trade_id: str | None
    order_id: str | None


NO_FILL = FillName(None, None)


@touches("positions", "position_events")
def write_position(session: WriteSession, order: PositionOrder) -> Position:
    """Open a position by hand.

    Args:
        session: The write transaction.
        order: The checked position.

    Returns:
        The position.

    Raises:
        Conflict: The id is taken by another position, maybe an archived one.
        ArchiveNeeded: It must be looked up first whether one is archived.
    """
    known = load_anywhere(session, order.position_id)
    if known is not None:
        raise Conflict(
            f"position {order.position_id!r} exists already, on {known.symbol} of {known.account}",
            hint="choose another id, or record a fill for it",
        )
    opened_us = session.ts_us if order.opened_us is None else session.timely(order.opened_us, "opened_at")
    state = open_position(order.side, order.fill)
    held = Held(
        order.position_id, order.account, order.symbol, state, 0, opened_us, opened_us,
        leverage=order.leverage, margin_mode=order.margin_mode, liquidation_price=order.liquidation_price,
        strategy=order.strategy, bot=order.bot,
    )  # fmt: skip
    event = change_event("open", None, state, order.fill.price)
    return present(keep_changed(session, held, event, opened_us))


@touches("positions", "position_events")
def close_position(
    session: WriteSession, position_id: str, price: Decimal, reason: str | None, closed_us: int | None
) -> Position:
    """Close a position by hand at a price.

    Args:
        session: The write transaction.
        position_id: The position.
        price: In quote.
        reason: Why.
        closed_us: When, us UTC; None means the commit's time.

    Returns:
        The closed position.

    Raises:
        NotFound: There is no open position of this id.
    """
    held = load_open(session, position_id)
    occurred_us = session.ts_us if closed_us is None else session.timely(closed_us, "closed_at")
    side = "sell" if held.state.side == "LONG" else "buy"
    state = held.state
    change = apply_fill(state, FillInput(side, price, state.amount, state.contract_size, state.inverse))
    assert change.before is not None
    assert change.before_event is not None
    closed = held._replace(
        state=change.before,
        closed_us=occurred_us,
        close_reason=None if reason is None else check_text(reason, "reason"),
    )
    return present(keep_changed(session, closed, change.before_event, occurred_us))


@touches("positions", "position_events")
def adjust_position(session: WriteSession, position_id: str, terms: Mapping[str, Any]) -> Position:
    """Change the terms of an open position.

    Args:
        session: The write transaction.
        position_id: The position.
        terms: New values of leverage, margin_mode and liquidation_price, those that change.

    Returns:
        The position.

    Raises:
        NotFound: There is no open position of this id.
    """
    held = load_open(session, position_id)
    if all(getattr(held, name) == value for name, value in terms.items()):
        return present(held)
    event = change_event("adjust", held.state, held.state, None)
    return present(keep_changed(session, held._replace(**terms), event, session.ts_us))


def load_open(session: WriteSession, position_id: str) -> Held:
    """Return an open position.

    Args:
        session: The write transaction.
        position_id: Its id.

    Returns:
        The position.

    Raises:
        NotFound: There is no open position of this id.
    """
    held = load_position(session, position_id)
    if held is None or held.state.status != OPEN:
        raise NotFound(
            f"no open position {position_id!r}" + (" (it is closed)" if held else ""),
            hint="get_open_positions() lists those there are",
        )
    return held


def open_ids_of_symbol(session: WriteSession, symbol: str) -> list[str]:
    """Return the ids of the open positions of a market.

    Args:
        session: The write transaction.
        symbol: The market.

    Returns:
        Ids, over all accounts.
    """
    key = ("open positions", symbol)
    ids: list[str] | None = session.memory.get(key)
    if ids is None:
        rows: list[Any] = session.execute(session.sql["open_position_ids"], (symbol,)).fetchall()
        ids = [row[0] for row in rows]
        session.memory[key] = ids
    return list(ids)


def load_position(session: WriteSession, position_id: str) -> Held | None:
    """Return a position of the hot store.

    Args:
        session: The write transaction.
        position_id: Its id.

    Returns:
        The position, open or closed; None where there is none.
    """
    key = ("position", position_id)
    held: Held | None = session.memory.get(key)
    if held is None:
        row = session.one("find_positions", (position_id,))
        if row is None:
            return None
        held = session.memory[key] = decode(row)
    return held


def load_anywhere(session: WriteSession, position_id: str) -> Held | None:
    """Return a position also where it is archived: its id is never another's.

    Args:
        session: The write transaction.
        position_id: Its id.

    Returns:
        The position; None where there is none.

    Raises:
        ArchiveNeeded: It must be looked up first whether it is archived.
    """
    held = load_position(session, position_id)
    if held is None:
        for rows in find_archived(session, POSITIONS, [Wanted((position_id,), None)]).values():
            return decode(rows[0])
    return held


def keep_position(session: WriteSession, held: Held) -> None:
    """Keep a position as it is now; its row is written once a transaction, however often it changes in it.

    Args:
        session: The write transaction.
        held: The position.
    """
    session.memory[("position", held.position_id)] = held
    ids = open_ids_of_symbol(session, held.symbol)
    is_open = held.state.status == OPEN
    if is_open is not (held.position_id in ids):
        others = [found for found in ids if found != held.position_id]
        session.memory[("open positions", held.symbol)] = [*others, held.position_id] if is_open else others
    session.defer_state("upsert_positions", held.position_id, held, encode)


def keep_changed(
    session: WriteSession, held: Held, event: PositionEvent, occurred_us: int, fill: FillName = NO_FILL
) -> Held:
    """Keep a position that something happened to, and note what.

    Args:
        session: The write transaction.
        held: The position after it.
        event: What happened.
        occurred_us: When, us UTC.
        fill: The fill that caused it.

    Returns:
        The position with the number of this event.
    """
    held = held._replace(event_seq=held.event_seq + 1, updated_us=max(held.updated_us, occurred_us))
    keep_position(session, held)
    kind, *amounts = event
    texts = [
        None if amount is None else money_text(amount, name)
        for name, amount in zip(_AMOUNTS, amounts, strict=True)
    ]
    session.defer(
        "insert_position_events",
        (held.position_id, held.event_seq, held.account, held.symbol, kind, *texts, fill.trade_id, fill.order_id,
         occurred_us, session.ts_us),
    )  # fmt: skip
    return held
